"""One cache, many threads: only the thread that holds the lock accesses a cache of cachetools."""

from cachetools import LRUCache

from api.state.locked_cache import LockedCache


class Watched(LRUCache):
    """Records for each access whether the lock was held."""

    accesses = ()

    def __getitem__(self, key):
        self.accesses += (locked._lock.locked(),)
        return super().__getitem__(key)

    def __setitem__(self, key, value):
        self.accesses += (locked._lock.locked(),)
        super().__setitem__(key, value)


watched = Watched(2)
locked = LockedCache(watched)


def test_each_access_holds_the_lock_and_the_least_recently_used_value_leaves():
    assert locked.find_or_keep("a", 1) == 1
    assert locked.keep("b", 2) == 2
    assert locked.find_or_keep("a", 3) == locked.find("a") == 1
    locked.keep("c", 3)
    assert [locked.find(key) for key in "abc"] == [1, None, 3]
    assert len(watched.accesses) >= 7
    assert all(watched.accesses)
