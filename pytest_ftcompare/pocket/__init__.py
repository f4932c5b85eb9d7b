"""Generate the embedded base models and data: a small language and its tasks.

words -> grammar -> (acceptability, entailment, sentiment, entities, chinese, instructions)
-> corpus -> pretrain; (instructions -> requests, sums) -> data -> scripts/tune_pocket.py.
`python -m scripts.make_pocket --help` lists the steps.
"""
