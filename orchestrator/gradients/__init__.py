"""A client of the Gradients platform: tasks and reward functions, over its HTTP API.

api         one request at a time, repeated where that is safe
tasks       submit exactly once, list, look at, cancel and watch tasks
rewards     the reward functions that are registered there
models      what is sent and what comes back
data        what of a dataset the platform would refuse
settings    where the API lies and which key it gets
"""
