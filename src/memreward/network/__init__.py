"""The paper's predictor: texts encoded, a graph of queries, thinkings and answers, messages from memory along it."""
