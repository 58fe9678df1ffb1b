package affinity

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
	"github.com/go-affinity/affinity/internal/digest"
	"github.com/go-affinity/affinity/internal/registry"
	"github.com/go-affinity/affinity/internal/table"
)

// GoString has failed tests say "bound" and not 0x2.
func (r Reason) GoString() string { return r.String() }

// What goes by a binding that was found binds nothing once its target was invalidated.
func TestBindToWhatIsInvalidated(t *testing.T) {
	c, err := NewCache(CacheConfig{})
	require.NoError(t, err)
	k := c.Key("s")
	c.Set(k, "a")
	l, _ := c.lookup(k, c.now())
	c.DeleteTarget("a")
	c.bindTo(k.aside(), table.Any, l.target, 0, l.now, l.Expires)
	_, ok := c.table.Get(k.aside().k, l.now)
	require.False(t, ok)
}

// Targets have numbers of 24 bits. When those run out, bindings make room.
func TestTargetsBeyondAllNumbers(t *testing.T) {
	t.Parallel()
	c, err := NewCache(CacheConfig{Capacity: 1000})
	require.NoError(t, err)
	c.targets = registry.New(7)
	c.table = table.New(1000, int64(leaseLimit), c.targets)
	for i := range 200 {
		k, target := c.Key(fmt.Sprint(i)), fmt.Sprint("target ", i)
		require.Equal(t, target, c.Set(k, target).Target)
		bound, ok := c.Get(k)
		require.True(t, ok)
		require.Equal(t, target, bound)
		require.LessOrEqual(t, len(c.Counts()), 8)
	}
}

// No number of a target stays taken once its bindings are gone: not for a second place that was
// held until the write, nor where Config.ID or the Balancer panics meanwhile.
func TestNumbersComeBack(t *testing.T) {
	t.Parallel()
	for _, failover := range []FailoverPolicy{FailoverRebind, FailoverReturn} {
		panicked := true
		for calls := 1; panicked; calls++ {
			panicked = false
			left := -1
			call := func(target string) string {
				if left--; left == 0 {
					panic(target)
				}
				return target
			}
			s, err := New(Config[string]{Failover: failover, Fallback: unsound{call: call}, ID: call})
			require.NoError(t, err)
			req := &extract.Request{Header: map[string][]string{"X-Session-Id": {"one-session-of-many"}}}
			for _, candidates := range [][]string{{"a"}, {"b"}, {"c", "a"}, {"b", "c"}} {
				left = calls
				func() {
					defer func() { panicked = recover() != nil || panicked }()
					s.Select(t.Context(), req, candidates)
				}()
			}
			s.cache.Clear()
			for ref := range uint32(8) {
				require.Nil(t, s.cache.targets.Get(ref), "number %d, panic at call %d", ref, calls)
			}
		}
	}
}

func TestNoPartOfAKeyIsZero(t *testing.T) {
	t.Parallel()
	for _, sum := range []digest.Sum{{}, {Hi: 5, Lo: 5}, {Hi: 5, Lo: 5 ^ math.MaxUint64}, {Hi: math.MaxUint64}, {Lo: 1}} {
		k := keyOf(sum)
		require.NotZero(t, k.k.Lo)
		require.NotZero(t, k.aside().k.Lo)
		require.NotEqual(t, k, k.aside())
		require.Equal(t, k, k.aside().aside())
	}
}

// Whatever parts a caller makes a Key of, it is none that a Selector makes for a
// session or for state.
func TestKeysOfCallersAreNotThoseOfSessions(t *testing.T) {
	t.Parallel()
	for _, tenant := range []string{"", "t"} {
		s, err := New(Config[string]{
			ID: func(s string) string { return s }, Fallback: first{},
			Tenant: func(*extract.Request) string { return tenant },
		})
		require.NoError(t, err)
		req := &extract.Request{Header: map[string][]string{"X-Session-Id": {"one-session-of-many"}}}
		sel, err := s.Select(t.Context(), req, []string{"a"})
		require.NoError(t, err)
		sel.Learn("resp_1")
		sel.Done(Outcome{Result: Served})
		require.Equal(t, 2, s.cache.Len())
		for _, id := range [][2]string{{"x-session-id", "one-session-of-many"}, {"state", "resp_1"}} {
			for _, parts := range [][]string{{id[0], id[1]}, {tenant, "", id[0], id[1]}, {tenant, id[0], id[1]}} {
				_, ok := s.cache.Peek(s.cache.Key(parts...))
				require.False(t, ok, "%q", parts)
			}
		}
	}
}

// A binding that All yields was there: never one of a session to a target that
// it was never bound to, because the target's number has another one by now.
func TestAllDoesNotYieldTheNextTargetOfANumber(t *testing.T) {
	c, err := NewCache(CacheConfig{Capacity: 100})
	require.NoError(t, err)
	names := map[Key]string{}
	for i := range 2 {
		k := c.Key(fmt.Sprint("session ", i))
		names[k] = fmt.Sprint("target ", i)
		c.Set(k, names[k])
	}
	first := true
	for k, b := range c.All() {
		require.Equal(t, names[k], b.Target)
		if !first {
			continue
		}
		first = false
		for other := range names {
			if other != k {
				c.Delete(other)
			}
		}
		for i := range 2 { // one of these is given the number
			c.Set(c.Key(fmt.Sprint("new ", i)), fmt.Sprint("new target ", i))
		}
	}
}

// Numbers of targets are used again at once. A reader that has got the number of a
// target which is replaced just then has to look again: a key that is bound all the
// time is found all the time, and never at the target of another.
func TestParallelGetIsOfTheRightTarget(t *testing.T) {
	c, err := NewCache(CacheConfig{Capacity: 100})
	require.NoError(t, err)
	n := 400_000 // a reader has to be interrupted at one point
	if testing.Short() {
		n /= 10 // under the race detector, that point is wider
	}
	var done atomic.Bool
	var wg sync.WaitGroup
	for _, kind := range []string{"x", "y"} {
		k := c.Key(kind)
		c.Set(k, kind)
		names := [4]string{kind + "0", kind + "1", kind + "2", kind + "3"}
		wg.Go(func() {
			defer done.Store(true)
			for i := range n {
				c.Set(k, names[i&3])
			}
		})
		wg.Go(func() {
			for !done.Load() {
				if b, ok := c.Peek(k); !ok || b.Target[:1] != kind {
					t.Errorf("%q has target %q, %t", kind, b.Target, ok)
					return
				}
			}
		})
	}
	wg.Wait()
}

// elapse lets d go by on the clock of the synctest bubble.
func elapse(d time.Duration) { <-time.After(d) }

// busy makes a Cache one that is called all the time.
func busy(t *testing.T, c *Cache) {
	t.Helper()
	k := c.Key("another")
	for range 5000 {
		if c.clock.Busy() {
			return
		}
		elapse(10 * time.Microsecond)
		c.Get(k)
	}
	t.Fatal("however often it is called, the Cache is not busy")
}

// Where the Cache is called all the time, a use is written down when that is worth
// it: a 64th of the TTL, a minute at most, or what new bindings took.
func TestUsesAreWrittenDownSeldomUnderLoad(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		ttl  time.Duration
		rest time.Duration // since the binding was used last
		lags bool
	}{
		{time.Hour, 56 * time.Second, true},
		{time.Hour, 57 * time.Second, false},
		{1000 * time.Hour, 59 * time.Second, true},
		{1000 * time.Hour, 61 * time.Second, false},
		{time.Second - 1, 1, false}, // short ones are exact
	} {
		t.Run(fmt.Sprint(tt.ttl, tt.rest), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, err := NewCache(CacheConfig{TTL: tt.ttl})
				require.NoError(t, err)
				k := c.Key("k")
				was := c.Set(k, "a").Expires
				elapse(tt.rest)
				if tt.ttl >= exactTTL {
					busy(t, c)
				}
				_, ok := c.Get(k)
				require.True(t, ok)
				b, _ := c.Peek(k)
				require.Equal(t, tt.lags, b.Expires.Equal(was))
			})
		})
	}
}

func TestUsesAreWrittenDownWhereNewBindingsComeIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, err := NewCache(CacheConfig{Capacity: 200})
		require.NoError(t, err)
		k := c.Key("k")
		was := c.Set(k, "a").Expires
		elapse(time.Second)
		for i := range 30 {
			c.Set(c.Key(fmt.Sprint(i)), "a")
		}
		elapse(time.Millisecond)
		busy(t, c)
		c.Get(k)
		b, _ := c.Peek(k)
		require.True(t, b.Expires.After(was), "it was used after they came")
	})
}

// What is used after a binding was added was used later, also where one reading of
// the clock serves for a while: a full table that is small drops what went unused.
func TestUsesAreLaterThanWhatWasAddedBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, err := NewCache(CacheConfig{Capacity: 3})
		require.NoError(t, err)
		used, unused := c.Key("used"), c.Key("unused")
		c.Set(used, "a")
		busy(t, c)
		elapse(100 * time.Microsecond)
		c.Set(unused, "a")
		elapse(100 * time.Microsecond)
		c.Set(c.Key("new"), "a")
		c.Get(used)
		c.Set(c.Key("newer"), "a")
		_, ok := c.Peek(used)
		require.True(t, ok)
		_, ok = c.Peek(unused)
		require.False(t, ok)
	})
}

// A Selector tells how long a session has paused, also where uses are written down
// seldom.
func TestPausesUnderLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Config[string]{ID: func(s string) string { return s }, Fallback: first{}, TTL: time.Hour})
		require.NoError(t, err)
		req := &extract.Request{Header: map[string][]string{"X-Session-Id": {"one-session-of-many"}}}
		for _, pause := range []time.Duration{0, 30 * time.Second, 4 * time.Minute} {
			elapse(pause)
			busy(t, s.cache)
			sel, err := s.Select(t.Context(), req, []string{"a"})
			require.NoError(t, err)
			require.InDelta(t, pause, sel.Idle, float64(4*time.Second))
			sel.Done(Outcome{}) // says nothing
			elapse(30 * time.Second)
			busy(t, s.cache)
			_, err = s.Pick(t.Context(), req, []string{"a"})
			require.NoError(t, err)
		}
	})
}

// Requests of a session that share one reading of the clock keep its binding
// alive, each of them, however long it takes.
func TestLeasesUnderLoad(t *testing.T) {
	t.Parallel()
	for _, n := range []int{10, 31} { // of 31, the last might rely on the others
		synctest.Test(t, func(t *testing.T) { leasesUnderLoad(t, n) })
	}
}

func leasesUnderLoad(t *testing.T, n int) {
	s, err := New(Config[string]{ID: func(s string) string { return s }, Fallback: first{}, TTL: time.Minute})
	require.NoError(t, err)
	req := &extract.Request{Header: map[string][]string{"X-Session-Id": {"one-session-of-many"}}}
	_, err = s.Pick(t.Context(), req, []string{"a"})
	require.NoError(t, err)
	elapse(30 * time.Second) // or the lag would be as short as the Cache is old
	busy(t, s.cache)
	var all []*Selection[string]
	for i := range n {
		elapse(50 * time.Microsecond)
		if i == n-1 { // it has a reading of its own
			elapse(2 * time.Millisecond)
			busy(t, s.cache)
		}
		sel, err := s.Select(t.Context(), req, []string{"a"})
		require.NoError(t, err)
		all = append(all, &sel)
	}
	for i := range n - 1 {
		all[i].Done(Outcome{Result: Served})
	}
	elapse(2 * time.Minute) // while the last one streams
	_, ok := s.Peek(req)
	require.True(t, ok)
	all[n-1].Done(Outcome{Result: Served})
	elapse(time.Minute)
	_, ok = s.Peek(req)
	require.Equal(t, n > table.MaxLeases-1, ok, "so many leases stay")
}

// A lifetime that is short is exact, in a Cache that is not.
func TestShortLifetimesUnderLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const ttl = 500 * time.Microsecond
		s, err := New(Config[string]{
			ID: func(s string) string { return s }, Fallback: first{},
			Lifetime: func(extract.Session) time.Duration { return ttl },
		})
		require.NoError(t, err)
		req := &extract.Request{Header: map[string][]string{"X-Session-Id": {"one-session-of-many"}}}
		busy(t, s.cache)
		_, err = s.Pick(t.Context(), req, []string{"a"})
		require.NoError(t, err)
		elapse(900 * time.Microsecond)
		require.True(t, s.cache.clock.Busy())
		sel, err := s.Select(t.Context(), req, []string{"b", "a"})
		require.NoError(t, err)
		require.Equal(t, ReasonNew, sel.Reason, "it has expired since the last reading")
		elapse(time.Millisecond)
		busy(t, s.cache) // by a new reading
		elapse(900 * time.Microsecond)
		require.True(t, s.cache.clock.Busy())
		sel.Done(Outcome{Result: Served})
		b, ok := s.Peek(req)
		require.True(t, ok)
		require.Equal(t, ttl, time.Until(b.Expires), "from the end of the answer")
	})
}

// first is a fallback.
type first struct{}

func (first) Pick(_ context.Context, _ *extract.Request, candidates []string) (string, error) {
	return candidates[0], nil
}

// unsound is a Balancer that may panic.
type unsound struct {
	first
	call func(target string) string
}

func (b unsound) Place(_ context.Context, _ *extract.Request, candidates []string) (string, Ticket, error) {
	return b.call(candidates[0]), Ticket{}, nil
}

func (b unsound) Charge(_ *extract.Request, id string, _ bool) Ticket { b.call(id); return Ticket{} }
func (b unsound) Settle(string, Ticket, Outcome)                      {}
func (b unsound) Cancel(id string, _ Ticket)                          { b.call(id) }
func (b unsound) Overloaded(string) bool                              { return false }

// A binding that is not made leaves nothing of its target.
func TestTargetOfNoBinding(t *testing.T) {
	c, err := NewCache(CacheConfig{})
	if err != nil {
		t.Fatal(err)
	}
	c.Set(c.Key("k"), "a")
	c.SetIfAbsent(c.Key("k"), "b")
	c.DeleteTarget("b")
	if c.targets.Dying() {
		t.Error("there is a binding to b")
	}
}
