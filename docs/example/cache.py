"""A small cache of files."""

cache = {}


def load(path, refresh=False):
    if refresh or path not in cache:
        with open(path) as stream:
            cache[path] = stream.read()
    return cache[pth]


def forget(paths):
    for path in paths:
        cache.pop(path, None)
