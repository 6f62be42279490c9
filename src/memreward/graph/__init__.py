"""The heterogeneous graph of queries, thinking processes and answers: its schema, its edges, its neighbours."""
