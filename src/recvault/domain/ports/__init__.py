"""What services need from outside, as Protocols. Adapters implement them; only ``bootstrap`` sees both sides."""
