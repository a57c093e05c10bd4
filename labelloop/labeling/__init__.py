"""What annotators see and answer with: the labeling config, the generated form, and how each tag is answered."""
