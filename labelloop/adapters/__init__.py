"""Adapters: predictions of other frameworks become outputs, ready for `Client.submit`. One module each.

    from labelloop.adapters import sklearn
    client.submit(sklearn.outputs(model, model.predict_proba(X), keys, frame))

No module imports its framework: objects are read by their attributes. The light client has all of them.
"""
