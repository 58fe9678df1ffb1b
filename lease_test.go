package affinity_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
	"github.com/go-affinity/affinity/extract"
)

// served is the outcome of a request that was answered, by whatever tokens.
var served = affinity.Outcome{Result: affinity.Served}

func everything(affinity.Key, affinity.Binding) bool { return true }

// While an answer streams, its session is where it was, whatever made the binding.
func TestStreamOutlivesTheTTL(t *testing.T) {
	t.Parallel()
	type scene struct {
		cfg  affinity.Config[string]
		play func(t *testing.T, s *affinity.Selector[string]) (*affinity.Selection[string], *extract.Request)
	}
	returning := affinity.Config[string]{TTL: time.Minute, Failover: affinity.FailoverReturn}
	ask := func(t *testing.T, s *affinity.Selector[string], req *extract.Request, candidates ...string) {
		mustSelect(t, s, req, candidates...).Done(served)
		elapse(time.Second)
	}
	for reason, sc := range map[affinity.Reason]scene{
		affinity.ReasonNew: {play: func(t *testing.T, s *affinity.Selector[string]) (*affinity.Selection[string], *extract.Request) {
			return mustSelect(t, s, session("s"), "a"), session("s")
		}},
		affinity.ReasonBound: {play: func(t *testing.T, s *affinity.Selector[string]) (*affinity.Selection[string], *extract.Request) {
			ask(t, s, session("s"), "a")
			return mustSelect(t, s, session("s"), "b", "a"), session("s")
		}},
		affinity.ReasonInherited: {play: func(t *testing.T, s *affinity.Selector[string]) (*affinity.Selection[string], *extract.Request) {
			ask(t, s, chatTurn(1, 1), "a")
			return mustSelect(t, s, chatTurn(1, 2), "b", "a"), chatTurn(1, 2)
		}},
		affinity.ReasonFailover: {play: func(t *testing.T, s *affinity.Selector[string]) (*affinity.Selection[string], *extract.Request) {
			ask(t, s, session("s"), "a")
			return mustSelect(t, s, session("s"), "b"), session("s")
		}},
		affinity.ReasonDetour: {cfg: returning, play: func(t *testing.T, s *affinity.Selector[string]) (*affinity.Selection[string], *extract.Request) {
			ask(t, s, session("s"), "a")
			ask(t, s, session("s"), "b")
			return mustSelect(t, s, session("s"), "c", "b"), session("s")
		}},
		affinity.ReasonReturned: {cfg: returning, play: func(t *testing.T, s *affinity.Selector[string]) (*affinity.Selection[string], *extract.Request) {
			ask(t, s, session("s"), "a")
			ask(t, s, session("s"), "b")
			return mustSelect(t, s, session("s"), "b", "a"), session("s")
		}},
		affinity.ReasonPinned: {play: func(t *testing.T, s *affinity.Selector[string]) (*affinity.Selection[string], *extract.Request) {
			mustSelect(t, s, session("maker"), "b").Learn("resp_1")
			req := session("s")
			req.Body = []byte(`{"input":"x","previous_response_id":"resp_1"}`)
			return mustSelect(t, s, req, "a", "b"), req
		}},
	} {
		t.Run(reason.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if sc.cfg.TTL == 0 {
					sc.cfg.TTL = time.Minute
				}
				s := newSelector(t, sc.cfg)
				stream, req := sc.play(t, s)
				require.Equal(t, reason, stream.Reason)
				elapse(30 * time.Minute)
				again := mustSelect(t, s, req, "x", "y", stream.Target)
				require.Equal(t, stream.Target, again.Target)
				require.Equal(t, stream.Session, again.Session)
				again.Done(affinity.Outcome{})
				elapse(30 * time.Minute)
				stream.Done(served)
				elapse(time.Minute - 1)
				b, ok := s.Peek(req)
				require.True(t, ok)
				require.Equal(t, stream.Target, b.Target)
				require.Zero(t, b.Active)
				elapse(1)
				_, ok = s.Peek(req)
				require.False(t, ok, "a TTL after the stream nothing keeps it")
			})
		})
	}
}

// streamOnADetour binds the session "s" to a and has it served by b, with a request that goes on
// until the caller reports its outcome.
func streamOnADetour(t *testing.T, s *affinity.Selector[string]) *affinity.Selection[string] {
	t.Helper()
	mustSelect(t, s, session("s"), "a").Done(served)
	elapse(time.Second)
	return mustSelect(t, s, session("s"), "b")
}

// The first detour of a session is leased like any other of its places.
func TestFirstDetourIsLeased(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{TTL: time.Minute, Failover: affinity.FailoverReturn})
		stream := streamOnADetour(t, s)
		require.Equal(t, affinity.ReasonFailover, stream.Reason)
		elapse(30 * time.Minute)
		require.Equal(t, "b", mustSelect(t, s, session("s"), "a", "b", "c").Target, "the home is given up, the detour is not")
	})
}

func TestSeveralStreamsAtOnce(t *testing.T) {
	t.Parallel()
	for _, gap := range []time.Duration{0, time.Microsecond, 100 * time.Microsecond, time.Second} {
		for _, last := range []affinity.Result{affinity.Neutral, affinity.Served, affinity.TransientFailure} {
			t.Run(fmt.Sprint(gap, " ", last), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := newSelector(t, affinity.Config[string]{TTL: time.Minute})
					var streams []*affinity.Selection[string]
					for range 3 {
						streams = append(streams, mustSelect(t, s, session("s"), "a"))
						elapse(gap)
					}
					for _, stream := range streams {
						elapse(10 * time.Minute)
						_, ok := s.Peek(session("s"))
						require.True(t, ok)
						stream.Done(affinity.Outcome{Result: last})
					}
					if last == affinity.Served {
						elapse(time.Minute - 1)
						_, ok := s.Peek(session("s"))
						require.True(t, ok)
						elapse(1)
					}
					_, ok := s.Peek(session("s"))
					require.False(t, ok, "its time was over long ago")
				})
			})
		}
	}
}

// A request that comes the moment another has ended keeps the binding too.
func TestLeaseRightAfterDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{TTL: time.Minute})
		for _, r := range []affinity.Result{affinity.Served, affinity.Neutral, affinity.TransientFailure} {
			mustSelect(t, s, session(r.String()), "a").Done(affinity.Outcome{Result: r})
			mustSelect(t, s, session(r.String()), "a")
			elapse(2 * time.Minute)
			b, ok := s.Peek(session(r.String()))
			require.True(t, ok)
			require.Equal(t, 1, b.Active)
		}
	})
}

func TestDoneCountsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{TTL: time.Minute})
		one := mustSelect(t, s, session("s"), "a")
		elapse(time.Second)
		mustSelect(t, s, session("s"), "a")
		one.Done(served)
		one.Done(affinity.Outcome{Result: affinity.TransientFailure})
		one.Done(affinity.Outcome{Result: affinity.TerminalFailure})
		require.Equal(t, affinity.Served, one.Outcome.Result)
		elapse(10 * time.Minute)
		b, ok := s.Peek(session("s"))
		require.True(t, ok, "the other one still streams")
		require.Equal(t, 1, b.Active)
		require.Equal(t, map[affinity.Result]uint64{affinity.Neutral: 0, affinity.Served: 1, affinity.TransientFailure: 0, affinity.TerminalFailure: 0}, s.Stats().Outcomes)
	})
}

func TestConcurrentDoneCountsOnce(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{})
	for range 200 {
		sel := mustSelect(t, s, session("s"), "a")
		var wg sync.WaitGroup
		for r := range affinity.TerminalFailure {
			wg.Go(func() { sel.Done(affinity.Outcome{Result: r}) })
		}
		wg.Wait()
	}
	var n uint64
	for _, k := range s.Stats().Outcomes {
		n += k
	}
	require.EqualValues(t, 200, n)
	b, ok := s.Peek(session("s"))
	require.True(t, ok)
	require.Zero(t, b.Active)
}

func TestMissingDoneIsBounded(t *testing.T) {
	t.Parallel()
	for _, streams := range []int{1, 2, 100} { // 100 are more than are counted
		t.Run(fmt.Sprint(streams), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSelector(t, affinity.Config[string]{TTL: time.Minute})
				var all []*affinity.Selection[string]
				for range streams {
					all = append(all, mustSelect(t, s, session("s"), "a"))
					elapse(time.Millisecond)
				}
				elapse(time.Hour + time.Minute - time.Millisecond - 1)
				_, ok := s.Peek(session("s"))
				require.True(t, ok)
				elapse(1)
				_, ok = s.Peek(session("s"))
				require.False(t, ok)
				for _, sel := range all {
					sel.Done(served)
				}
				_, ok = s.Peek(session("s"))
				require.False(t, ok, "what is over is not revived")
			})
		})
	}
}

func TestWhatTakesNoLease(t *testing.T) {
	t.Parallel()
	title := session("s")
	title.Path = "/v1/messages/count_tokens"
	for name, call := range map[string]func(*testing.T, *affinity.Selector[string]){
		"first Pick": func(t *testing.T, s *affinity.Selector[string]) {
			_, err := s.Pick(t.Context(), session("s"), []string{"a"})
			require.NoError(t, err)
		},
		"Pick of a hit": func(t *testing.T, s *affinity.Selector[string]) {
			mustSelect(t, s, session("s"), "a").Done(affinity.Outcome{})
			elapse(time.Second)
			_, err := s.Pick(t.Context(), session("s"), []string{"a"})
			require.NoError(t, err)
		},
		"Pick of a failover": func(t *testing.T, s *affinity.Selector[string]) {
			mustSelect(t, s, session("s"), "b")
			elapse(time.Second)
			_, err := s.Pick(t.Context(), session("s"), []string{"a"})
			require.NoError(t, err)
		},
		"first Select that is done at once": func(t *testing.T, s *affinity.Selector[string]) {
			mustSelect(t, s, session("s"), "a").Done(affinity.Outcome{})
		},
		"Select of a failover that is done at once": func(t *testing.T, s *affinity.Selector[string]) {
			mustSelect(t, s, session("s"), "b")
			elapse(time.Second)
			mustSelect(t, s, session("s"), "a").Done(affinity.Outcome{})
		},
		"a side call": func(t *testing.T, s *affinity.Selector[string]) {
			mustSelect(t, s, session("s"), "a").Done(affinity.Outcome{})
			elapse(time.Second)
			mustSelect(t, s, title, "a")
		},
		"Peek": func(t *testing.T, s *affinity.Selector[string]) {
			mustSelect(t, s, session("s"), "a").Done(affinity.Outcome{})
			_, ok := s.Peek(session("s"))
			require.True(t, ok)
		},
		"Get": func(t *testing.T, s *affinity.Selector[string]) {
			mustSelect(t, s, session("s"), "a").Done(affinity.Outcome{})
			elapse(time.Second)
			for k := range s.Cache().All() {
				s.Cache().Get(k)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSelector(t, affinity.Config[string]{TTL: time.Minute})
				call(t, s)
				b, ok := s.Peek(session("s"))
				require.True(t, ok)
				require.Zero(t, b.Active)
				elapse(time.Minute)
				_, ok = s.Peek(session("s"))
				require.False(t, ok)
			})
		})
	}
}

// Nor does the end of a side call end anybody's stream.
func TestSideCallEndsNoStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{TTL: time.Minute})
		mustSelect(t, s, session("s"), "a")
		count := session("s")
		count.Path = "/v1/messages/count_tokens"
		for r := range affinity.TransientFailure + 1 {
			elapse(time.Second)
			mustSelect(t, s, count, "a").Done(affinity.Outcome{Result: r})
		}
		elapse(10 * time.Minute)
		require.Equal(t, 1, mustPeek(t, s, session("s")).Active)
	})
}

// A side call does not refresh what it follows.
func TestSideCallDoesNotSlide(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for r := affinity.Neutral; r <= affinity.TerminalFailure; r++ {
			s := newSelector(t, affinity.Config[string]{TTL: time.Minute})
			mustSelect(t, s, session("s"), "a").Done(served)
			elapse(40 * time.Second)
			count := session("s")
			count.Path = "/v1/messages/count_tokens"
			mustSelect(t, s, count, "a").Done(affinity.Outcome{Result: r})
			b, ok := s.Peek(session("s"))
			require.True(t, ok)
			require.Equal(t, 20*time.Second, time.Until(b.Expires))
			require.EqualValues(t, 1, s.Stats().Outcomes[r]-map[affinity.Result]uint64{affinity.Served: 1}[r])
		}

		// Where they are wanted, they count like turns.
		s := newSelector(t, affinity.Config[string]{TTL: time.Minute, SideCalls: true})
		mustSelect(t, s, session("s"), "a").Done(served)
		elapse(40 * time.Second)
		count := session("s")
		count.Path = "/v1/messages/count_tokens"
		mustSelect(t, s, count, "a").Done(served)
		require.Equal(t, time.Minute, time.Until(mustPeek(t, s, session("s")).Expires))
	})
}

func TestEvictionSparesStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Capacity: 8})
		mustSelect(t, s, session("streaming"), "a")
		for i := range 100 {
			elapse(time.Second)
			mustSelect(t, s, session(fmt.Sprint(i)), "a").Done(served)
		}
		_, ok := s.Peek(session("streaming"))
		require.True(t, ok, "the oldest by far, but under way")
		require.Equal(t, 8, s.Cache().Len())

		// If all stream, one has to go all the same.
		for i := range 100 {
			elapse(time.Second)
			mustSelect(t, s, session(fmt.Sprint("stream ", i)), "a")
		}
		require.Equal(t, 8, s.Cache().Len())
		_, ok = s.Peek(session("stream 99"))
		require.True(t, ok)
	})
}

// An outcome acts on the binding that it came from and on no other, however late it comes.
func TestLateOutcomeActsOnNothing(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*testing.T, *affinity.Selector[string]){
		"after Invalidate":       func(t *testing.T, s *affinity.Selector[string]) { require.True(t, s.Invalidate(session("s"))) },
		"after InvalidateTarget": func(t *testing.T, s *affinity.Selector[string]) { s.InvalidateTarget("a") },
		"after DeleteFunc": func(t *testing.T, s *affinity.Selector[string]) {
			require.Equal(t, 1, s.Cache().DeleteFunc(everything))
		},
		"after Clear": func(t *testing.T, s *affinity.Selector[string]) { s.Cache().Clear() },
		"after MoveFunc": func(t *testing.T, s *affinity.Selector[string]) {
			require.Equal(t, 1, s.Cache().MoveFunc("b", everything))
		},
		"after a failover": func(t *testing.T, s *affinity.Selector[string]) { mustSelect(t, s, session("s"), "b").Done(served) },
		"after a terminal answer": func(t *testing.T, s *affinity.Selector[string]) {
			mustSelect(t, s, session("s"), "a").Done(affinity.Outcome{Result: affinity.TerminalFailure})
		},
		"after a move and back": func(t *testing.T, s *affinity.Selector[string]) {
			mustSelect(t, s, session("s"), "b").Done(served)
			elapse(time.Second)
			mustSelect(t, s, session("s"), "a").Done(served)
		},
	} {
		for _, rebound := range []bool{false, true} {
			for r := range affinity.TerminalFailure + 1 {
				t.Run(fmt.Sprint(name, " ", rebound, " ", r), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						s := newSelector(t, affinity.Config[string]{TTL: time.Minute})
						late := mustSelect(t, s, session("s"), "a")
						elapse(time.Second)
						change(t, s)
						elapse(time.Second)
						if rebound {
							mustSelect(t, s, session("s"), "a", "b", "c") // streams on
						}
						elapse(time.Second)
						before := maps.Collect(s.Cache().All())
						late.Done(affinity.Outcome{Result: r, Usage: affinity.Usage{Cached: 9000}})
						require.Equal(t, before, maps.Collect(s.Cache().All()))
					})
				})
			}
		}
	}
}

// A request that failed has not used its binding; but others may have, before
// and after its end, and theirs is not taken back.
func TestFailureTakesBackItsOwnUseOnly(t *testing.T) {
	t.Parallel()
	fail := affinity.Outcome{Result: affinity.TransientFailure}
	for name, tt := range map[string]struct {
		play func(t *testing.T, s *affinity.Selector[string])
		idle time.Duration // afterwards
	}{
		"alone": {func(t *testing.T, s *affinity.Selector[string]) {
			mustSelect(t, s, session("s"), "a").Done(fail)
		}, time.Minute},
		"alone, and slow": {func(t *testing.T, s *affinity.Selector[string]) {
			sel := mustSelect(t, s, session("s"), "a")
			elapse(time.Minute)
			sel.Done(fail)
		}, 2 * time.Minute},
		"one by one": {func(t *testing.T, s *affinity.Selector[string]) {
			for range 3 {
				mustSelect(t, s, session("s"), "a").Done(fail)
				elapse(time.Minute)
			}
		}, 4 * time.Minute},
		"another was served meanwhile": {func(t *testing.T, s *affinity.Selector[string]) {
			sel := mustSelect(t, s, session("s"), "a")
			elapse(time.Second)
			mustSelect(t, s, session("s"), "a").Done(served)
			elapse(time.Second)
			sel.Done(fail)
		}, time.Second},
		"another was served before it ended": {func(t *testing.T, s *affinity.Selector[string]) {
			other := mustSelect(t, s, session("s"), "a")
			elapse(time.Second)
			sel := mustSelect(t, s, session("s"), "a")
			elapse(time.Second)
			other.Done(served)
			elapse(time.Second)
			sel.Done(fail)
		}, time.Second},
		"it is the first": {func(t *testing.T, s *affinity.Selector[string]) {
			s.Invalidate(session("s"))
			mustSelect(t, s, session("s"), "a").Done(fail)
			elapse(time.Second)
		}, time.Second},
		"it outlived the binding": {func(t *testing.T, s *affinity.Selector[string]) {
			sel := mustSelect(t, s, session("s"), "a")
			elapse(10*time.Minute - time.Second)
			sel.Done(fail)
		}, 10*time.Minute - time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSelector(t, affinity.Config[string]{TTL: 10 * time.Minute})
				mustSelect(t, s, session("s"), "a").Done(served)
				elapse(time.Minute)
				tt.play(t, s)
				b := mustPeek(t, s, session("s"))
				require.Zero(t, b.Active)
				require.Equal(t, 10*time.Minute-tt.idle, time.Until(b.Expires))
			})
		})
	}
	t.Run("another still streams", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := newSelector(t, affinity.Config[string]{TTL: time.Minute})
			mustSelect(t, s, session("s"), "a").Done(served)
			elapse(time.Second)
			failing := mustSelect(t, s, session("s"), "a")
			elapse(time.Second)
			stream := mustSelect(t, s, session("s"), "a")
			elapse(time.Second)
			failing.Done(fail)
			elapse(10 * time.Minute)
			require.Equal(t, 1, mustPeek(t, s, session("s")).Active)
			stream.Done(served)
			elapse(time.Minute - 1)
			mustPeek(t, s, session("s"))
		})
	})
}

// Nor does one of the many at one instant that share a few leases.
func TestLateOutcomeOfACrowd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{})
		var crowd []*affinity.Selection[string]
		for range 40 {
			crowd = append(crowd, mustSelect(t, s, session("s"), "a"))
		}
		require.Less(t, mustPeek(t, s, session("s")).Active, 31)
		elapse(time.Second)
		mustSelect(t, s, session("s"), "b").Done(served)
		before := mustPeek(t, s, session("s"))
		elapse(time.Second)
		for i, sel := range crowd {
			sel.Done(affinity.Outcome{Result: affinity.Result(i % 4)})
		}
		require.Equal(t, before, mustPeek(t, s, session("s")))
	})
}

// Of thirty streams that begin at one instant the last one keeps the binding.
func TestStreamsOfOneInstant(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{TTL: time.Minute})
		var streams []*affinity.Selection[string]
		for range 30 {
			streams = append(streams, mustSelect(t, s, session("s"), "a"))
		}
		require.Equal(t, 30, mustPeek(t, s, session("s")).Active)
		for _, sel := range streams[:29] {
			sel.Done(served)
		}
		elapse(10 * time.Minute)
		require.Equal(t, 1, mustPeek(t, s, session("s")).Active)
		streams[29].Done(served)
		elapse(time.Minute - 1)
		mustPeek(t, s, session("s"))
		elapse(1)
		_, ok := s.Peek(session("s"))
		require.False(t, ok)
	})
}

// What is put into a Cache by hand is nobody's stream.
func TestSetTakesNoLease(t *testing.T) {
	t.Parallel()
	c := newCache(t, affinity.CacheConfig{})
	require.Zero(t, c.Set(c.Key("set"), "a").Active)
	b, ok := c.SetIfAbsent(c.Key("absent"), "a")
	require.True(t, ok)
	require.Zero(t, b.Active)
}

// A session that lives by its streams is moved like any other.
func TestMoveOfAStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{TTL: time.Minute})
		stream := mustSelect(t, s, session("s"), "a")
		elapse(5 * time.Minute)
		require.Equal(t, 1, s.Cache().MoveFunc("b", everything))
		require.Equal(t, "b", mustSelect(t, s, session("s"), "a", "b").Target)
		stream.Done(served)
		require.Equal(t, "b", mustSelect(t, s, session("s"), "a", "b").Target)
	})
}

// faulty is a balancer that calls a function before it does anything.
type faulty struct {
	affinity.Balancer[string]
	call func()
}

func (b faulty) Place(ctx context.Context, req *extract.Request, candidates []string) (string, affinity.Ticket, error) {
	b.call()
	return b.Balancer.Place(ctx, req, candidates)
}

func (b faulty) Charge(req *extract.Request, id string, warm bool) affinity.Ticket {
	b.call()
	return b.Balancer.Charge(req, id, warm)
}

func (b faulty) Settle(id string, ticket affinity.Ticket, o affinity.Outcome) {
	b.call()
	b.Balancer.Settle(id, ticket, o)
}

func (b faulty) Overloaded(id string) bool {
	b.call()
	return b.Balancer.Overloaded(id)
}

// Whichever call of whichever function of the caller's panics or ends its goroutine, no binding
// waits for an outcome that nobody can report, and nobody waits for the one whose call it was.
func TestPanicsLeaveNoLease(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(){"panic": func() { panic("of the caller") }, "exit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachConversation(t, func(t *testing.T, p affinity.FailoverPolicy, turn func(n, i int) *extract.Request) {
				for n := 1; ; n++ { // the call that fails
					calls := 0
					playWithPanics(t, p, turn, n, &calls, fail)
					if calls < n {
						require.Greater(t, n, 50)
						return
					}
				}
			})
		})
	}
}

func playWithPanics(t *testing.T, policy affinity.FailoverPolicy, turn func(n, i int) *extract.Request, n int, calls *int, fail func()) {
	fault := func() {
		if *calls++; *calls == n {
			fail()
		}
	}
	s := newSelector(t, affinity.Config[string]{
		Failover: policy,
		ID:       func(target string) string { fault(); return target },
		Fallback: faulty{balance.LeastCost(balance.CostConfig[string]{ID: self, MaxShare: 1.1}), fault},
		Tenant:   func(*extract.Request) string { fault(); return "t" },
		Lifetime: func(extract.Session) time.Duration { fault(); return 0 },
	})
	survive := func(f func()) {
		var wg sync.WaitGroup
		wg.Go(func() {
			defer func() { _ = recover() }()
			f()
		})
		wg.Wait()
	}
	var streams []*affinity.Selection[string]
	for i, candidates := range [][]string{{"a", "b"}, {"a", "b"}, {"b", "c"}, {"b", "c"}, {"a", "b", "c"}, {"a", "b", "c"}, {"a", "c"}} {
		if i == 5 {
			s.Drain("b", time.Now())
		}
		survive(func() {
			sel, err := s.Select(t.Context(), turn(1, i+1), candidates)
			require.NoError(t, err)
			streams = append(streams, &sel)
		})
		elapse(time.Second)
		if len(streams) > 0 {
			last := streams[len(streams)-1]
			survive(func() { last.Learn(fmt.Sprint("response-", i)) })
			if i%2 == 0 {
				survive(func() { last.Done(served) })
			}
		}
	}
	for _, sel := range streams {
		survive(func() { sel.Done(served) })
	}
	for _, b := range s.Cache().All() {
		require.Zero(t, b.Active, "call %d: %+v", n, b)
	}
	if *calls < n {
		return
	}
	for i := range 8 { // in a bubble, waiting for nobody is a deadlock that the test reports
		mustSelect(t, s, turn(1, i+1), "a", "b", "c").Done(served)
	}
}

// Functions of the caller may use the Selector that calls them, and its Cache, for whatever does
// not wait for the call: no lock is held meanwhile.
func TestFunctionsMayCallBack(t *testing.T) {
	t.Parallel()
	eachConversation(t, func(t *testing.T, p affinity.FailoverPolicy, turn func(n, i int) *extract.Request) {
		var s *affinity.Selector[string]
		calls, within := 0, false
		back := func() {
			if within || s == nil {
				return
			}
			within = true
			defer func() { within = false }()
			calls++
			s.Peek(turn(1, 1))
			other := mustSelect(t, s, turn(2, 1), "a", "b")
			other.Learn("resp_1")
			other.Done(served)
			s.Drain("c", time.Time{})
			s.Drained()
			s.Resume("c")
			s.Cache().MoveFunc("b", func(_ affinity.Key, b affinity.Binding) bool { return b.Session == other.Session })
			for k, b := range s.Cache().All() {
				if b.Session == other.Session {
					s.Cache().Delete(k)
				}
			}
			switch calls % 8 {
			case 0:
				s.Invalidate(turn(1, 1))
			case 1:
				s.InvalidateTarget("a")
			}
		}
		s = newSelector(t, affinity.Config[string]{
			Failover: p,
			ID:       func(target string) string { back(); return target },
			Tenant:   func(*extract.Request) string { back(); return "t" },
			Lifetime: func(extract.Session) time.Duration { back(); return 0 },
			Fallback: faulty{balance.LeastCost(balance.CostConfig[string]{
				ID:       func(target string) string { back(); return target },
				Weight:   func(string) float64 { back(); return 1 },
				Cost:     func(u affinity.Usage) float64 { back(); return u.Cost() },
				MaxShare: 1.1,
			}), back},
		})
		for i := range 40 {
			sel := mustSelect(t, s, turn(1, i+1), [][]string{{"a", "b"}, {"b", "c"}, {"a", "b", "c"}}[i%3]...)
			back()
			sel.Done(affinity.Outcome{Result: affinity.Result(i % 4), Usage: affinity.Usage{Uncached: 5000, Cached: 5000 * (i % 2)}})
			elapse(time.Minute)
		}
		require.Greater(t, calls, 200)
		for _, b := range s.Cache().All() {
			require.Zero(t, b.Active, "%+v", b)
		}
	})
}

// Done may come from any goroutine while the session is used, moved and
// released. Run with -race.
func TestOutcomesUnderFire(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, Fallback: balance.Random[string]()})
	all := []string{"a", "b", "c"}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 1))
			for i := range 500 {
				sel, err := s.Select(context.Background(), session(fmt.Sprint(rng.IntN(5))), all[rng.IntN(2):][:1+rng.IntN(2)])
				if err != nil {
					t.Error(err)
				}
				o := affinity.Outcome{Result: affinity.Result(rng.IntN(3))}
				wg.Go(func() { sel.Done(o) })
				switch i % 50 {
				case 1:
					s.Cache().MoveFunc("c", func(_ affinity.Key, b affinity.Binding) bool { return b.Target == "a" })
				case 2:
					s.Cache().DeleteFunc(func(_ affinity.Key, b affinity.Binding) bool { return b.Target == "b" })
				case 3:
					s.InvalidateTarget("c")
				case 4:
					s.Drain("a", time.Time{})
				case 5:
					s.Resume("a")
				}
			}
		})
	}
	wg.Wait()
	st := s.Stats()
	var selected, outcomes uint64
	for _, n := range st.Selected {
		selected += n
	}
	for _, n := range st.Outcomes {
		outcomes += n
	}
	require.EqualValues(t, 2000, selected)
	require.EqualValues(t, 2000, outcomes)
	for _, b := range s.Cache().All() {
		require.Zero(t, b.Active, "nothing is under way")
	}
}

// Nor does a failure take back the use of a request that was served, even where
// both were made at one instant.
func TestFailureBesideSuccessAtTheSameInstant(t *testing.T) {
	t.Parallel()
	for _, served := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := newSelector(t, affinity.Config[string]{TTL: time.Hour})
			mustSelect(t, s, session("s"), "a").Done(affinity.Outcome{Result: affinity.Served})
			elapse(50 * time.Minute)
			one := mustSelect(t, s, session("s"), "a")
			two := mustSelect(t, s, session("s"), "a")
			outcome := affinity.Outcome{Result: affinity.TransientFailure}
			if served {
				outcome.Result = affinity.Served
			}
			two.Done(outcome)
			one.Done(affinity.Outcome{Result: affinity.TransientFailure})
			elapse(20 * time.Minute)
			_, ok := s.Peek(session("s"))
			require.Equal(t, served, ok)
		})
	}
}

// A turn that takes over a home which lives by a stream alone has that home, too, when it
// is on a detour.
func TestDetourFromAStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{TTL: time.Minute, Failover: affinity.FailoverReturn})
		stream := mustSelect(t, s, chatTurn(1, 1), "a")
		elapse(2 * time.Minute)
		require.Equal(t, affinity.ReasonFailover, mustSelect(t, s, chatTurn(1, 2), "b").Reason)
		elapse(time.Second)
		sel := mustSelect(t, s, chatTurn(1, 2), "a", "b")
		require.Equal(t, "a", sel.Target)
		require.Equal(t, affinity.ReasonReturned, sel.Reason)
		stream.Done(served)
	})
}

// A request that ends without being served lengthens nothing, also where the binding lives
// by another that is under way.
func TestNeutralBesideAStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{TTL: time.Minute})
		mustSelect(t, s, session("s"), "a") // which never ends
		sel := mustSelect(t, s, session("s"), "a")
		before := mustPeek(t, s, session("s")).Expires
		elapse(30 * time.Minute)
		sel.Done(affinity.Outcome{})
		require.Equal(t, before, mustPeek(t, s, session("s")).Expires)
		elapse(31*time.Minute - 1)
		require.Equal(t, "a", mustPeek(t, s, session("s")).Target)
		elapse(1)
		_, ok := s.Peek(session("s"))
		require.False(t, ok)
	})
}

// A request that ends for good gives back one lease on a copy of its binding, though the binding has
// gone meanwhile, and leaves that of another request.
func TestTerminalFailureGivesBackOneLease(t *testing.T) {
	t.Parallel()
	x := &scripted{now: extract.Session{Source: "x", ID: "1", Aliases: []string{"alias"}}}
	s := newSelector(t, affinity.Config[string]{Extractor: x})
	one := mustSelect(t, s, new(extract.Request), "a")
	mustSelect(t, s, new(extract.Request), "a") // goes on and on
	x.now.Aliases = nil
	require.True(t, s.Invalidate(new(extract.Request)))
	x.now = extract.Session{Source: "x", ID: "2", Continues: []string{"alias"}}
	for _, active := range []int{2, 1} {
		b, _ := s.Peek(new(extract.Request))
		require.Equal(t, active, b.Active)
		one.Done(affinity.Outcome{Result: affinity.TerminalFailure})
	}
}
