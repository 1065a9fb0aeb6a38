"""A load run with everything going wrong at random, that ends with a count: see ``tests.soak.test_short_soak``."""
