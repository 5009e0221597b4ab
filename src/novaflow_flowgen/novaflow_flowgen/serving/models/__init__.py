"""MegaSaM, MoGe and TAPIP3D behind the contract, each in an environment of its own.

Written against the interfaces of their code, which is no part of this repository. Nothing of theirs
is imported before a factory is called.
"""
