"""What a bundle needs of the node that it is deployed to, read from its archive, and whether the node has it."""
