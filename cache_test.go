package affinity_test

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
)

func newCache(t testing.TB, cfg affinity.CacheConfig) *affinity.Cache {
	t.Helper()
	c, err := affinity.NewCache(cfg)
	require.NoError(t, err)
	return c
}

// The zero Key is what a map has for a session that it does not know.
func TestZeroKey(t *testing.T) {
	t.Parallel()
	c := newCache(t, affinity.CacheConfig{Capacity: 100})
	keys := map[string]affinity.Key{"a": c.Key("a"), "b": c.Key("b")}
	for _, k := range keys {
		c.Set(k, "x")
	}
	none := keys["none"]
	require.Zero(t, c.Set(none, "y"))
	b, ok := c.SetIfAbsent(none, "y")
	require.False(t, ok)
	require.Zero(t, b)
	require.False(t, c.Delete(none))
	_, ok = c.Get(none)
	require.False(t, ok)
	_, ok = c.Peek(none)
	require.False(t, ok)
	require.Equal(t, 2, c.Len())
	for _, k := range keys {
		target, ok := c.Get(k)
		require.True(t, ok)
		require.Equal(t, "x", target)
		require.True(t, c.Delete(k))
	}
}

func TestNewCacheRefusesBadConfig(t *testing.T) {
	t.Parallel()
	_, err := affinity.NewCache(affinity.CacheConfig{TTL: -1})
	require.EqualError(t, err, "affinity: CacheConfig.TTL is negative: want 0 for DefaultTTL, or more")
	_, err = affinity.NewCache(affinity.CacheConfig{Capacity: -1})
	require.EqualError(t, err, "affinity: CacheConfig.Capacity is negative: want 0 for DefaultCapacity, or more")
}

// A binding in use never ends, one that is not ends at the very instant.
func TestBindingSlides(t *testing.T) {
	t.Parallel()
	for _, ttl := range []time.Duration{time.Microsecond, time.Second, time.Hour, 1000 * time.Hour} {
		t.Run(ttl.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCache(t, affinity.CacheConfig{TTL: ttl})
				k := c.Key("s")
				b := c.Set(k, "a")
				require.Equal(t, time.Now().Add(ttl), b.Expires)
				for range 10 {
					elapse(ttl - 1)
					_, ok := c.Get(k)
					require.True(t, ok, "a nanosecond before it expires")
					b, _ := c.Peek(k)
					require.Equal(t, time.Now().Add(ttl), b.Expires)
				}
				elapse(ttl - 1)
				_, ok := c.Peek(k)
				require.True(t, ok)
				elapse(1)
				_, ok = c.Peek(k)
				require.False(t, ok, "at the instant it expires")
				_, ok = c.Get(k)
				require.False(t, ok)
				require.Empty(t, c.Counts())
			})
		})
	}
}

func TestPeekDoesNotSlide(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, affinity.CacheConfig{TTL: time.Minute})
		k := c.Key("s")
		c.Set(k, "a")
		elapse(59 * time.Second)
		_, ok := c.Peek(k)
		require.True(t, ok)
		elapse(time.Second)
		_, ok = c.Get(k)
		require.False(t, ok)
	})
}

// No duration is too short or too long.
func TestAnyTTL(t *testing.T) {
	t.Parallel()
	for _, ttl := range []time.Duration{1, 2, 15, 1023, 1025, math.MaxInt64 - 1, math.MaxInt64} {
		t.Run(ttl.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCache(t, affinity.CacheConfig{TTL: ttl, Capacity: 4})
				for i := range 20 {
					k := c.Key(fmt.Sprint(i))
					c.Set(k, "a")
					_, ok := c.Get(k)
					require.True(t, ok)
					elapse(min(ttl, time.Second))
					_, ok = c.Get(k)
					require.Equal(t, ttl > time.Second, ok)
				}
			})
		})
	}
}

// What NewCache says of nine years, less a TTL of four.
func TestNineYears(t *testing.T) {
	t.Parallel()
	const year = 365 * 24 * time.Hour
	synctest.Test(t, func(t *testing.T) {
		c, err := affinity.NewCache(affinity.CacheConfig{TTL: 4 * year})
		require.NoError(t, err)
		for range 6 {
			k := c.Key(time.Now().String())
			b := c.Set(k, "a")
			require.Equal(t, 4*year, time.Until(b.Expires))
			elapse(year)
		}
		elapse(3*year - 1)
		require.Equal(t, map[string]int{"a": 1}, c.Counts(), "the last one")
		elapse(1)
		require.Empty(t, c.Counts())
	})
}

// A flood of ids evicts, and never grows.
func TestCapacityIsExact(t *testing.T) {
	t.Parallel()
	for _, capacity := range []int{1, 2, 3, 100, 1000, 5000} {
		c := newCache(t, affinity.CacheConfig{Capacity: capacity})
		for i := range 3*capacity + 50 {
			k := c.Key(fmt.Sprint(i))
			c.Set(k, "a")
			_, ok := c.Get(k)
			require.True(t, ok, "the newest is never the one to go")
			require.LessOrEqual(t, c.Len(), capacity)
		}
		require.Equal(t, capacity, c.Len())
		require.Equal(t, map[string]int{"a": capacity}, c.Counts())
		require.EqualValues(t, 2*capacity+50, c.Evicted())
	}
}

// Only what has to go before its time counts as evicted.
func TestEvicted(t *testing.T) {
	t.Parallel()
	for _, capacity := range []int{100, 5000} {
		for name, end := range map[string]func(c *affinity.Cache){
			"expired":             func(*affinity.Cache) { elapse(time.Minute) },
			"target invalidated":  func(c *affinity.Cache) { c.DeleteTarget("a") },
			"deleted":             func(c *affinity.Cache) { c.DeleteFunc(func(affinity.Key, affinity.Binding) bool { return true }) },
			"cleared":             (*affinity.Cache).Clear,
			"rebound, then ended": func(c *affinity.Cache) { c.Set(c.Key("0"), "b"); elapse(time.Minute) },
		} {
			t.Run(fmt.Sprint(name, capacity), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					c := newCache(t, affinity.CacheConfig{Capacity: capacity, TTL: time.Minute})
					fill := func(from, to int) {
						for i := range to - from {
							c.Set(c.Key(fmt.Sprint(from+i)), "a")
						}
					}
					fill(0, capacity)
					require.Zero(t, c.Evicted())
					end(c)
					fill(capacity, 2*capacity)
					require.Zero(t, c.Evicted())
					fill(2*capacity, 2*capacity+capacity/10)
					require.EqualValues(t, capacity/10, c.Evicted())
				})
			})
		}
	}
}

func TestEvictsTheLongestUnused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const capacity = 300
		c := newCache(t, affinity.CacheConfig{Capacity: capacity})
		key := func(i int) affinity.Key { return c.Key(fmt.Sprint(i)) }
		for i := range capacity {
			c.Set(key(i), "a")
			elapse(time.Millisecond)
		}
		for i := 0; i < capacity; i += 2 { // even ones are in use
			_, ok := c.Get(key(i))
			require.True(t, ok)
			elapse(time.Millisecond)
		}
		for i := range capacity / 2 {
			c.Set(key(capacity+i), "a")
			elapse(time.Millisecond)
			_, ok := c.Peek(key(2*i + 1))
			require.False(t, ok, "the oldest odd one makes room, in turn")
		}
		for i := 0; i < capacity; i += 2 {
			_, ok := c.Peek(key(i))
			require.True(t, ok)
		}
	})
}

// The same, where so much goes on that not every use is written down.
func TestEvictsTheLongestUnusedOfMany(t *testing.T) {
	long(t)
	t.Parallel()
	const capacity = 40_000
	c := newCache(t, affinity.CacheConfig{Capacity: capacity})
	keys := make([]affinity.Key, capacity*5/4)
	for i := range keys {
		keys[i] = c.Key(fmt.Sprint(i))
	}
	for _, k := range keys[:capacity] {
		c.Set(k, "a")
	}
	for range 3 { // the last of them when the clock is no longer read every time
		for i := 0; i < capacity; i += 2 {
			c.Get(keys[i])
		}
	}
	for _, k := range keys[capacity:] {
		c.Set(k, "a")
	}
	lost := 0
	for i := 0; i < capacity; i += 2 {
		if _, ok := c.Peek(keys[i]); !ok {
			lost++
		}
	}
	require.Less(t, lost, capacity/2/20, "of those in use, while as many were not")
}

func TestEvictsWhatIsDeadFirst(t *testing.T) {
	t.Parallel()
	c := newCache(t, affinity.CacheConfig{Capacity: 100})
	for i := range 50 {
		c.Set(c.Key("old", fmt.Sprint(i)), "stays")
	}
	for i := range 50 {
		c.Set(c.Key("young", fmt.Sprint(i)), "goes")
	}
	c.DeleteTarget("goes")
	for i := range 50 {
		c.Set(c.Key("new", fmt.Sprint(i)), "stays")
	}
	require.Equal(t, map[string]int{"stays": 100}, c.Counts(), "no live binding had to go")
}

// How many bindings are live tells whether the capacity is large enough.
func TestLiveBindingsTellOfEvictions(t *testing.T) {
	t.Parallel()
	const capacity = 4000
	for _, test := range []struct {
		made        int // in a TTL
		live, ended float64
	}{
		{capacity * 80 / 100, 0.8, 0},
		{capacity * 92 / 100, 0.92, 0},
		{capacity * 105 / 100, 0.99, 0.2},
		{capacity * 140 / 100, 1, 1},
	} {
		t.Run(fmt.Sprint(test.made), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCache(t, affinity.CacheConfig{Capacity: capacity, TTL: time.Hour})
				key := func(i int) affinity.Key { return c.Key(fmt.Sprint(i)) }
				ended := 0.0
				for i := range 4 * test.made {
					c.Set(key(i), "a")
					elapse(time.Hour / time.Duration(test.made))
					if old := i - test.made*9/10; old >= 2*test.made { // nine tenths of its time are over
						if _, ok := c.Peek(key(old)); !ok {
							ended += 1 / (1.1 * float64(test.made))
						}
					}
				}
				live := 0.0
				for range c.All() {
					live += 1.0 / capacity
				}
				require.InDelta(t, test.live, live, 0.01)
				require.InDelta(t, test.ended, ended, 0.1)
			})
		})
	}
}

// Invalidation of a target is one step, whatever its bindings; the ID can be used again at
// once, and the old bindings stay dead.
func TestDeleteTarget(t *testing.T) {
	t.Parallel()
	c := newCache(t, affinity.CacheConfig{})
	for i := range 1000 {
		c.Set(c.Key(fmt.Sprint(i)), []string{"a", "b"}[i%2])
	}
	c.DeleteTarget("a")
	c.DeleteTarget("a")
	c.DeleteTarget("never heard of")
	require.Equal(t, 1000, c.Len(), "no binding was visited")
	require.Equal(t, map[string]int{"b": 500}, c.Counts())
	_, ok := c.Get(c.Key("0"))
	require.False(t, ok)

	b, ok := c.SetIfAbsent(c.Key("2"), "a")
	require.True(t, ok)
	require.Equal(t, "a", b.Target)
	require.Equal(t, map[string]int{"a": 1, "b": 500}, c.Counts())
	_, ok = c.Get(c.Key("4"))
	require.False(t, ok, "an old binding does not come back with the name")
}

func TestDelete(t *testing.T) {
	t.Parallel()
	c := newCache(t, affinity.CacheConfig{})
	k := c.Key("s")
	require.False(t, c.Delete(k))
	c.Set(k, "a")
	require.True(t, c.Delete(k))
	require.False(t, c.Delete(k))
	_, ok := c.Get(k)
	require.False(t, ok)
	require.Zero(t, c.Len())

	d := c.Set(k, "a").Session
	c.Set(c.Key("t"), "a")
	require.Equal(t, 1, c.DeleteFunc(func(_ affinity.Key, b affinity.Binding) bool { return b.Session == d }))
	require.Equal(t, 0, c.DeleteFunc(func(_ affinity.Key, b affinity.Binding) bool { return b.Session == d }))
	require.Equal(t, map[string]int{"a": 1}, c.Counts())
	c.Clear()
	require.Zero(t, c.Len())
	c.Set(k, "a")
	require.Equal(t, map[string]int{"a": 1}, c.Counts())
}

func TestSetReplaces(t *testing.T) {
	t.Parallel()
	c := newCache(t, affinity.CacheConfig{})
	k := c.Key("s")
	c.Set(k, "a")
	require.Equal(t, "b", c.Set(k, "b").Target)
	b, ok := c.SetIfAbsent(k, "c")
	require.False(t, ok)
	require.Equal(t, "b", b.Target)
	require.Equal(t, map[string]int{"b": 1}, c.Counts())
}

// Of those that bind a session at once one wins, and everybody sees it.
func TestSetIfAbsentHasOneWinner(t *testing.T) {
	t.Parallel()
	c := newCache(t, affinity.CacheConfig{})
	for round := range 200 {
		k := c.Key(fmt.Sprint(round))
		var wins atomic.Int32
		var seen sync.Map
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				b, won := c.SetIfAbsent(k, fmt.Sprint(i))
				if won {
					wins.Add(1)
				}
				seen.Store(b.Target, true)
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, wins.Load())
		n := 0
		seen.Range(func(any, any) bool { n++; return true })
		require.Equal(t, 1, n)
	}
}

// What is bound if it is absent expires as what is set does.
func TestSetIfAbsentExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, affinity.CacheConfig{TTL: time.Minute})
		k := c.Key("s")
		for range 2 {
			elapse(time.Hour)
			b, ok := c.SetIfAbsent(k, "a")
			require.True(t, ok)
			require.Equal(t, time.Now().Add(time.Minute), b.Expires)
			elapse(time.Minute - 1)
			b, ok = c.SetIfAbsent(k, "b")
			require.False(t, ok)
			require.Equal(t, "a", b.Target)
			elapse(1)
			_, ok = c.Peek(k)
			require.False(t, ok)
		}
	})
}

// Parts of a key never run into each other.
func TestKeyKeepsPartsApart(t *testing.T) {
	t.Parallel()
	c := newCache(t, affinity.CacheConfig{})
	keys := map[affinity.Key][]string{}
	for _, parts := range [][]string{
		{}, {""}, {"", ""}, {"a", "bc"}, {"ab", "c"}, {"abc"}, {"abc", ""}, {"", "abc"},
		{"a\x00b"}, {"a", "b"}, {"a::b"}, {"a:", ":b"}, {strings.Repeat("x", 1000)}, {strings.Repeat("x", 1001)},
	} {
		k := c.Key(parts...)
		require.NotContains(t, keys, k, "%q and %q", keys[k], parts)
		require.Equal(t, k, c.Key(parts...))
		keys[k] = parts
	}
	other := newCache(t, affinity.CacheConfig{})
	require.NotEqual(t, c.Key("a"), other.Key("a"), "each Cache has a secret of its own")
	require.NotEqual(t, c.Key(), other.Key())
}

// Nothing that can be printed has the id in it.
func TestNothingPrintsTheID(t *testing.T) {
	t.Parallel()
	c := newCache(t, affinity.CacheConfig{})
	const id = "very-secret-id"
	k := c.Key("tenant", "source", id)
	b := c.Set(k, "a")
	require.Len(t, b.Session.String(), 16)
	for k, b := range c.All() {
		require.NotContains(t, fmt.Sprintf("%v %+v %#v %s", k, b, b, b.Session), "secret")
	}
	require.Empty(t, affinity.Digest(0).String())
	require.Equal(t, "00000000000000ff", affinity.Digest(255).String())
}

func TestAllMayUseTheCache(t *testing.T) {
	t.Parallel()
	c := newCache(t, affinity.CacheConfig{})
	for i := range 100 {
		c.Set(c.Key(fmt.Sprint(i)), "a")
	}
	n := 0
	for k, b := range c.All() {
		require.Equal(t, "a", b.Target)
		require.True(t, c.Delete(k))
		if n++; n == 60 {
			break
		}
	}
	require.Equal(t, map[string]int{"a": 40}, c.Counts())
}

// Everything at once: run with -race. A reader must never see a binding that
// was not made for its key.
func TestCacheUnderFire(t *testing.T) {
	t.Parallel()
	c := newCache(t, affinity.CacheConfig{TTL: 50 * time.Microsecond, Capacity: 700})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 5000 {
				n := (i*7 + g*13) % 1000
				k := c.Key(fmt.Sprint(n))
				mine := func(target string) {
					if !strings.HasPrefix(target, fmt.Sprint(n%10, "-")) {
						t.Errorf("session %d is bound to %q", n, target)
					}
				}
				switch i % 5 {
				case 0:
					mine(c.Set(k, fmt.Sprint(n%10, "-", i%3)).Target)
				case 1:
					b, _ := c.SetIfAbsent(k, fmt.Sprint(n%10, "-", i%3))
					mine(b.Target)
				case 2, 3:
					if target, ok := c.Get(k); ok {
						mine(target)
					}
				case 4:
					switch i % 50 {
					case 4:
						c.DeleteTarget(fmt.Sprint(n%10, "-", i%3))
					case 9:
						c.Delete(k)
					case 14:
						c.Counts()
					}
				}
				if c.Len() > 700 {
					t.Error("over capacity")
				}
			}
		})
	}
	wg.Wait()
}

// elapse lets d go by on the clock of the synctest bubble.
func elapse(d time.Duration) { <-time.After(d) }
