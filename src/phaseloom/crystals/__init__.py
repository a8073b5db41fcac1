"""What a crystal diffracts: structures, structure factors, kinematic spots and rings."""
