"""Pure decisions: facts and the present time in, a decision out. No IO, no clock, no logging. Called by reconcile, and in part by the agent."""
