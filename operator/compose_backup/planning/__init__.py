"""Pure decisions: facts and the present time in, a decision out, without IO, clock or log.

Called by reconcile, and in part by the agent.
"""
