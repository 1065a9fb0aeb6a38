"""What implements the ports, a module or package for each foreign thing. Only ``bootstrap`` knows them."""
