"""How pocket was made: networks, drawn scenes, training, export and measurement."""
