"""The embedded base models and data: a pocket language, its tasks, and the scripts that make all of it again.

words -> grammar -> (acceptability, entailment, sentiment, entities, chinese, instructions) -> corpus -> pretrain;
(instructions -> requests, sums) -> data -> instruct.
`python -m pytest_ftcompare.pocket --help` lists the steps.
"""
