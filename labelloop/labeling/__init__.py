"""The form that annotators see and answer with: labeling config, generated form, and the codec of each control tag."""
