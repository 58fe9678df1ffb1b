package affinity_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
	"github.com/go-affinity/affinity/extract"
)

// tokens is the outcome of a request that was answered, and of whose prompt the
// target had so much in its cache.
func tokens(cached, uncached int) affinity.Outcome {
	return affinity.Outcome{Result: affinity.Served, Usage: affinity.Usage{Cached: cached, Uncached: uncached, Output: 100}}
}

// teach lets s learn that the target keeps prompts for five minutes, which
// takes some twenty.
func teach(t testing.TB, s *affinity.Selector[string], target string) {
	t.Helper()
	req := session("teacher of " + target)
	mustSelect(t, s, req, target).Done(tokens(0, 90_000))
	for range 3 {
		elapse(time.Second)
		mustSelect(t, s, req, target).Done(tokens(80_000, 10_000))
	}
	for range 3 {
		elapse(6 * time.Minute)
		mustSelect(t, s, req, target).Done(tokens(0, 90_000))
	}
}

// visits counts by reason where sessions go that come to targets after a pause.
func visits(t testing.TB, s *affinity.Selector[string], n int, pause time.Duration, home string, candidates ...string) map[affinity.Reason]int {
	t.Helper()
	elapse(time.Second)
	name := fmt.Sprint("visitor ", time.Now().UnixNano(), " ")
	for i := range n {
		mustSelect(t, s, session(fmt.Sprint(name, i)), home).Done(served)
	}
	elapse(pause)
	reasons := map[affinity.Reason]int{}
	for i := range n {
		sel := mustSelect(t, s, session(fmt.Sprint(name, i)), candidates...)
		reasons[sel.Reason]++
		if sel.Reason == affinity.ReasonExpired {
			require.Equal(t, home, sel.From)
			require.Equal(t, pause, sel.Idle)
		} else {
			require.Equal(t, home, sel.Target)
		}
		sel.Done(affinity.Outcome{})
	}
	return reasons
}

func TestLearnedLifetime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Capacity: 500, Fallback: balance.FillFirst[string]()})
		require.Equal(t, map[affinity.Reason]int{affinity.ReasonBound: 320}, visits(t, s, 320, 59*time.Minute, "a", "b", "a"))
		teach(t, s, "a")
		require.Equal(t, map[affinity.Reason]int{affinity.ReasonBound: 320}, visits(t, s, 320, 5*time.Minute-1, "a", "b", "a"))
		late := visits(t, s, 320, 6*time.Minute, "a", "b", "a")
		require.InDelta(t, 300, late[affinity.ReasonExpired], 30, "placed anew, but for a few that explore")
		require.NotZero(t, late[affinity.ReasonBound])
		require.Len(t, late, 2)
		require.Equal(t, map[affinity.Reason]int{affinity.ReasonBound: 320}, visits(t, s, 320, 6*time.Minute, "c", "b", "c"),
			"each target has a life of its own")
	})
}

// Sessions that pause for just as long as it took to find their prompts gone have nothing to
// lose, whichever pause that is.
func TestLifeOfThatVeryPause(t *testing.T) {
	t.Parallel()
	for _, pause := range []time.Duration{2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute, 40 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			s := newSelector(t, affinity.Config[string]{Fallback: balance.FillFirst[string]()})
			for range 4 { // the first is new, and teaches nothing
				mustSelect(t, s, session("teacher"), "a").Done(tokens(80_000, 10_000))
			}
			for range 3 {
				elapse(pause)
				mustSelect(t, s, session("teacher"), "a").Done(tokens(0, 90_000))
			}
			reasons := visits(t, s, 320, pause, "a", "b", "a")
			require.InDelta(t, 300, reasons[affinity.ReasonExpired], 30, "%v: %v", pause, reasons)
		})
	}
}

// An expired session may be placed where it was; then it goes on to teach.
func TestExpiredAndBackAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Capacity: 500})
		teach(t, s, "a")
		reasons := visits(t, s, 100, 30*time.Minute, "a", "a")
		require.NotZero(t, reasons[affinity.ReasonExpired])
		// The target keeps prompts for longer now: those who come back late
		// find them there, and the Selector finds out.
		for i := range 100 {
			mustSelect(t, s, session(fmt.Sprint(i)), "a").Done(tokens(0, 90_000))
		}
		for range 8 {
			elapse(7 * time.Minute)
			for i := range 100 {
				mustSelect(t, s, session(fmt.Sprint(i)), "a").Done(tokens(80_000, 10_000))
			}
		}
		require.Equal(t, map[affinity.Reason]int{affinity.ReasonBound: 320}, visits(t, s, 320, 7*time.Minute, "a", "b", "a"))
	})
}

// Even if nobody whose binding is stale is ever placed where it was, a few that
// are believed find out that a life has become longer.
func TestExploration(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Capacity: 500, Fallback: balance.FillFirst[string]()})
		teach(t, s, "a")
		for round := range 100 {
			for i := range 20 {
				mustSelect(t, s, session(fmt.Sprint(round, " ", i)), "a").Done(tokens(0, 90_000))
			}
			elapse(7 * time.Minute)
			for i := range 20 {
				sel := mustSelect(t, s, session(fmt.Sprint(round, " ", i)), "b", "a")
				if sel.Target == "a" {
					sel.Done(tokens(80_000, 10_000))
				} else {
					sel.Done(tokens(0, 90_000))
				}
			}
		}
		require.Equal(t, map[affinity.Reason]int{affinity.ReasonBound: 320}, visits(t, s, 320, 7*time.Minute, "a", "b", "a"))
	})
}

// What tells nothing about the life of a cache makes it no shorter.
func TestNeverWronglyShort(t *testing.T) {
	t.Parallel()
	usage := func(cached, uncached int) affinity.Usage { return affinity.Usage{Cached: cached, Uncached: uncached} }
	for name, outcome := range map[string]func(fresh bool) affinity.Outcome{
		"unknown usage": func(bool) affinity.Outcome { return served },
		"a failure": func(bool) affinity.Outcome {
			return affinity.Outcome{Result: affinity.TransientFailure, Usage: usage(0, 90_000)}
		},
		"neutral": func(bool) affinity.Outcome { return affinity.Outcome{Usage: usage(0, 90_000)} },
		"fresh ones fail": func(fresh bool) affinity.Outcome {
			if fresh {
				return affinity.Outcome{Result: affinity.TransientFailure, Usage: usage(90_000, 0)}
			}
			return tokens(0, 90_000)
		},
		"a target that does not cache": func(bool) affinity.Outcome { return tokens(0, 90_000) },
		"tiny prompts":                 func(bool) affinity.Outcome { return tokens(0, 900) },
		"nonsense":                     func(bool) affinity.Outcome { return tokens(-90_000, math.MaxInt) },
		"only output known": func(bool) affinity.Outcome {
			return affinity.Outcome{Result: affinity.Served, Usage: affinity.Usage{Output: 90_000}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSelector(t, affinity.Config[string]{})
				for i := range 20 {
					req := session(fmt.Sprint(i))
					mustSelect(t, s, req, "a").Done(outcome(true))
					for range 3 {
						elapse(time.Second)
						mustSelect(t, s, req, "a").Done(outcome(true))
					}
					elapse(6 * time.Minute)
					mustSelect(t, s, req, "a").Done(outcome(false))
				}
				require.Equal(t, map[affinity.Reason]int{affinity.ReasonBound: 50}, visits(t, s, 50, 50*time.Minute, "a", "b", "a"))
			})
		})
	}
}

// Who comes to a target for the first time, or from elsewhere, finds nothing
// there: that says nothing of the target.
func TestMovesTeachNothing(t *testing.T) {
	t.Parallel()
	each(t, policies, func(t *testing.T, p affinity.FailoverPolicy) {
		s := newSelector(t, affinity.Config[string]{Failover: p, Fallback: balance.RoundRobin[string]()})
		for i := range 200 {
			req := session(fmt.Sprint(i))
			cached := 0
			for range 4 { // all fresh ones are found
				mustSelect(t, s, req, "a").Done(tokens(cached, 90_000-cached))
				cached = 80_000
				elapse(time.Second)
			}
			elapse(6 * time.Minute)
			mustSelect(t, s, req, "b").Done(tokens(0, 90_000)) // the detour, or the new home
			for range 4 {
				elapse(time.Second)
				mustSelect(t, s, req, "b").Done(tokens(80_000, 10_000))
			}
		}
		for _, target := range []string{"a", "b"} {
			require.Equal(t, map[affinity.Reason]int{affinity.ReasonBound: 50}, visits(t, s, 50, 50*time.Minute, target, "x", target))
		}
	})
}

// Nor do side calls, which have another prompt.
func TestSideCallsTeachNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{})
		for range 5 {
			mustSelect(t, s, session("s"), "a", "b").Done(affinity.Outcome{Result: affinity.Served, Usage: affinity.Usage{Cached: 50_000, Uncached: 500}})
			elapse(time.Second)
		}
		count := session("s")
		count.Path = "/v1/messages/count_tokens"
		for range 4 {
			elapse(3 * time.Minute)
			mustSelect(t, s, count, "a", "b").Done(affinity.Outcome{Result: affinity.Served, Usage: affinity.Usage{Uncached: 5000}})
		}
		for range 32 {
			elapse(4 * time.Minute)
			require.NotEqual(t, affinity.ReasonExpired, mustSelect(t, s, session("s"), "a", "b").Reason)
		}
	})
}

// The turns of a conversation that is known by its messages teach as well.
func TestDerivedSessionsTeach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Fallback: balance.FillFirst[string]()})
		expired := 0
		for i := range 60 {
			turn := 0
			ask := func(o affinity.Outcome) {
				turn++
				sel := mustSelect(t, s, chatTurn(i, turn), "a", "b")
				if sel.Reason == affinity.ReasonExpired {
					expired++
				}
				sel.Done(o)
			}
			ask(tokens(0, 90_000))
			for range 2 {
				elapse(time.Second)
				ask(tokens(80_000, 10_000))
			}
			elapse(7 * time.Minute)
			ask(tokens(0, 90_000))
		}
		require.Greater(t, expired, 30, "but for a few that explore")
	})
}

// A conversation whose turns have a key each expires like any other.
func TestDerivedSessionsExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Fallback: balance.FillFirst[string]()})
		teach(t, s, "a")
		expired := 0
		for i := range 64 {
			one := mustSelect(t, s, chatTurn(i, 1), "a")
			one.Done(served)
			elapse(5*time.Minute - 1)
			two := mustSelect(t, s, chatTurn(i, 2), "b", "a")
			require.Equal(t, affinity.ReasonInherited, two.Reason)
			two.Done(served)
			elapse(6 * time.Minute)
			if sel := mustSelect(t, s, chatTurn(i, 3), "b", "a"); sel.Reason == affinity.ReasonExpired {
				require.Equal(t, "b", sel.Target)
				require.Equal(t, one.Session, sel.Session)
				expired++
			}
		}
		require.Greater(t, expired, 40)
	})
}

// As long as something streams, the session is where it is.
func TestStreamOutlivesTheLearnedLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Fallback: balance.FillFirst[string]()})
		teach(t, s, "a")
		for i := range 32 {
			mustSelect(t, s, session(fmt.Sprint(i)), "a")
		}
		elapse(20 * time.Minute)
		for i := range 32 {
			require.Equal(t, affinity.ReasonBound, mustSelect(t, s, session(fmt.Sprint(i)), "b", "a").Reason)
		}
	})
}

// A home that is gone for longer than it keeps prompts is given up.
func TestHomeIsGivenUpAfterItsLife(t *testing.T) {
	t.Parallel()
	each(t, conversations, func(t *testing.T, turn func(n, i int) *extract.Request) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, Fallback: balance.FillFirst[string]()})
		teach(t, s, "a")
		const sessions = 256
		round := func(i int, candidates ...string) (at map[string]int) {
			at = map[string]int{}
			for n := range sessions {
				sel := mustSelect(t, s, turn(n, i), candidates...)
				sel.Done(served)
				at[sel.Target]++
			}
			elapse(time.Minute)
			return at
		}
		round(1, "a")
		for i := range 8 {
			require.Equal(t, sessions, round(2+i, "b")["b"])
		}
		elapse(4 * time.Minute)
		var at map[string]int
		for i := range 8 {
			at = round(10+i, "a", "b", "c")
		}
		require.Greater(t, at["b"], sessions*4/5, "but for a few that explore: the prompts are at b, and a has nothing to offer")
		require.Zero(t, at["c"])
		require.Greater(t, round(18, "0", "b")["b"], sessions*4/5)
	})
}

// Nor is it kept until it has room again, if it has too much to do.
func TestOverloadedHomeIsGivenUpAfterItsLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newAuditor(t)
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, Fallback: b})
		teach(t, s, "a")
		const sessions = 64
		round := func(i int, candidates ...string) {
			elapse(time.Minute)
			for n := range sessions {
				mustSelect(t, s, chatTurn(n, i), candidates...).Done(served)
			}
		}
		mustSelect(t, s, session("witness"), "a").Done(served)
		round(1, "a")
		round(2, "b")
		round(3, "b")
		mustSelect(t, s, session("witness"), "a", "b").Done(served) // all may return two minutes later
		elapse(4 * time.Minute)
		b.overload("a")
		round(4, "a", "b")
		homes := map[string]int{}
		for n := range sessions {
			home, _ := s.Peek(chatTurn(n, 4))
			homes[home.Target]++
		}
		require.Greater(t, homes["b"], sessions*4/5)
	})
}

// A home that has gone, and whose prompts had gone before, is no place to come back to.
func TestColdHomeIsNoSecondPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{})
		teach(t, s, "a")
		for _, pause := range []time.Duration{time.Minute, 6 * time.Minute} {
			s.Cache().Clear()
			for n := range 64 {
				mustSelect(t, s, session(fmt.Sprint(n)), "a").Done(served)
			}
			elapse(pause)
			for n := range 64 {
				mustSelect(t, s, session(fmt.Sprint(n)), "b").Done(served)
			}
			asides := 0
			for _, b := range s.Cache().All() {
				if b.Aside {
					asides++
				}
			}
			require.InDelta(t, map[bool]int{true: 64, false: 4}[pause < 5*time.Minute], asides, 15, "but for a few that explore")
		}
	})
}

// A TTL beyond all clocks does not make every binding look old.
func TestIdleOfAnEndlessBinding(t *testing.T) {
	t.Parallel()
	for _, ttl := range []time.Duration{24 * time.Hour, 8 * 365 * 24 * time.Hour, 100 * 365 * 24 * time.Hour, math.MaxInt64 - 1, math.MaxInt64} {
		t.Run(ttl.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSelector(t, affinity.Config[string]{TTL: ttl, Fallback: balance.FillFirst[string]()})
				teach(t, s, "a")
				for range 32 {
					elapse(time.Minute)
					sel := mustSelect(t, s, session("s"), "a")
					require.LessOrEqual(t, sel.Idle, time.Minute)
					require.NotEqual(t, affinity.ReasonExpired, sel.Reason)
					sel.Done(served)
				}
			})
		})
	}
}

func TestIdle(t *testing.T) {
	t.Parallel()
	each(t, conversations, func(t *testing.T, turn func(n, i int) *extract.Request) {
		s := newSelector(t, affinity.Config[string]{})
		require.Zero(t, mustSelect(t, s, turn(1, 1), "a").Idle)
		beside := turn(2, 1)
		beside.Method = http.MethodHead
		require.Zero(t, mustSelect(t, s, beside, "a").Idle)
		elapse(time.Minute) // streaming
		again := mustSelect(t, s, turn(1, 1), "a")
		require.Equal(t, time.Minute, again.Idle)
		elapse(time.Minute)
		again.Done(served)
		elapse(time.Minute)
		require.Equal(t, time.Minute, mustSelect(t, s, turn(1, 1), "a").Idle, "since the end of the last answer")
		elapse(3 * time.Minute)
		require.Equal(t, 3*time.Minute, mustSelect(t, s, turn(1, 2), "a").Idle)
		elapse(2 * time.Minute)
		for _, at := range []string{"a", "b"} {
			beside := turn(1, 3)
			beside.Method = http.MethodHead
			require.Equal(t, 2*time.Minute, mustSelect(t, s, beside, at).Idle)
		}
		away := mustSelect(t, s, turn(1, 2), "b")
		require.Equal(t, 2*time.Minute, away.Idle)
	})
}

// The pause of a session counts from its last use also if it was at its detour.
func TestIdleOfADetour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn})
		mustSelect(t, s, session("s"), "a").Done(served)
		elapse(50 * time.Minute)
		mustSelect(t, s, session("s"), "b").Done(served)
		elapse(5 * time.Minute)
		sel := mustSelect(t, s, session("s"), "b")
		require.Equal(t, affinity.ReasonDetour, sel.Reason)
		require.Equal(t, 5*time.Minute, sel.Idle)
		sel.Done(served)
		elapse(time.Minute)
		mustSelect(t, s, session("other"), "c").Learn("resp_1")
		for _, state := range []string{`{}`, `{"previous_response_id":"resp_2"}`} {
			beside := session("s")
			beside.Method, beside.Body = http.MethodHead, []byte(state)
			require.Equal(t, time.Minute, mustSelect(t, s, beside, "b", "c").Idle, state)
		}
		elapse(19 * time.Minute)
		sel = mustSelect(t, s, session("s"), "b")
		require.Equal(t, affinity.ReasonBound, sel.Reason, "the home is given up")
		require.Equal(t, 20*time.Minute, sel.Idle)
	})
}

// What is learned is the Cache's: a new Selector knows it, and so it does after
// an invalidation.
func TestLifetimeOutlivesItsSelector(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		old := newSelector(t, affinity.Config[string]{})
		teach(t, old, "a")
		s := newSelector(t, affinity.Config[string]{Cache: old.Cache(), Fallback: balance.FillFirst[string]()})
		s.InvalidateTarget("a")
		s.Cache().Clear()
		require.NotZero(t, visits(t, s, 64, 6*time.Minute, "a", "b", "a")[affinity.ReasonExpired])
	})
}

// A session that was placed anew and failed there for good does not go back to where it was
// not served.
func TestExpiredSessionFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, Fallback: balance.FillFirst[string]()})
		teach(t, s, "a")
		for reason := affinity.ReasonNew; reason != affinity.ReasonExpired; { // one in sixteen goes home
			mustSelect(t, s, session("s"), "a").Done(served)
			elapse(6 * time.Minute)
			sel := mustSelect(t, s, session("s"), "b", "a")
			reason = sel.Reason
			sel.Done(affinity.Outcome{Result: affinity.TerminalFailure})
		}
		mustSelect(t, s, session("s"), "c").Done(served)
		require.Equal(t, "c", mustSelect(t, s, session("s"), "b", "c").Target)
	})
}

// teachHalfAnHour has sessions find out that a keeps prompts for less than that, but
// for what they have in common with others.
func teachHalfAnHour(t *testing.T, s *affinity.Selector[string]) {
	t.Helper()
	for k := range 12 {
		req := session("teach" + strconv.Itoa(k))
		mustSelect(t, s, req, "a").Done(tokens(20_000, 80_000))
		elapse(time.Second)
		mustSelect(t, s, req, "a").Done(tokens(90_000, 10_000))
		elapse(30 * time.Minute)
		mustSelect(t, s, req, "a").Done(tokens(20_000, 80_000))
	}
}

// expired returns how many of so many sessions are placed anew: all but one in sixteen,
// if their prompts are taken to be lost.
func expired(t *testing.T, s *affinity.Selector[string], sessions int) (n int) {
	t.Helper()
	for k := range sessions {
		if mustSelect(t, s, session(strconv.Itoa(k)), "b", "a").Reason == affinity.ReasonExpired {
			n++
		}
	}
	return n
}

// A side call is no occasion to move, so it goes home however long that was.
func TestSideCallsOfTheExpired(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Fallback: balance.FillFirst[string]()})
		teachHalfAnHour(t, s)
		for k := range 40 {
			mustSelect(t, s, session(strconv.Itoa(k)), "a").Done(tokens(0, 5000))
		}
		elapse(45 * time.Minute)
		for k := range 40 {
			side := mustSelect(t, s, &extract.Request{Header: session(strconv.Itoa(k)).Header, Path: "/v1/messages/count_tokens"}, "b", "a")
			require.Equal(t, "a", side.Target)
			require.Contains(t, []affinity.Reason{affinity.ReasonInherited, affinity.ReasonBound}, side.Reason)
			require.Empty(t, side.From)
		}
		require.Greater(t, expired(t, s, 40), 20)
	})
}

// Sessions whose lifetimes a new configuration makes longer have not been away for
// all that time.
func TestLongerLifetimesOfANewConfiguration(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, err := affinity.NewCache(affinity.CacheConfig{TTL: time.Hour})
		require.NoError(t, err)
		s := newSelector(t, affinity.Config[string]{Cache: c})
		teachHalfAnHour(t, s)
		for k := range 100 {
			mustSelect(t, s, session(strconv.Itoa(k)), "a").Done(tokens(0, 5000))
		}
		elapse(time.Minute)
		s = newSelector(t, affinity.Config[string]{Cache: c, Lifetime: func(extract.Session) time.Duration { return 4 * time.Hour }})
		for k := range 100 {
			sel := mustSelect(t, s, session(strconv.Itoa(k)), "b", "a")
			require.Equal(t, affinity.ReasonBound, sel.Reason)
			sel.Done(tokens(4500, 500))
		}
		// It is as strict with those that it has known for long enough itself.
		elapse(40 * time.Minute)
		require.Greater(t, expired(t, s, 100), 60)
	})
}

// shorter are two configurations over one Cache, of which the second has shorter lifetimes.
// For each kind of conversation, f asks as the first does, and after a call of reload as
// the second does.
func shorter(t *testing.T, f func(t *testing.T, ask func(candidates ...string) *affinity.Selection[string], reload func())) {
	kinds := maps.Clone(conversations)
	kinds["by its aliases"] = nil
	kinds["by its aliases, and each turn twice"] = nil
	for kind, turn := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cfg := affinity.Config[string]{Failover: affinity.FailoverReturn, Fallback: balance.FillFirst[string]()}
				x := new(scripted)
				if turn == nil {
					cfg.Extractor = x
				}
				s := newSelector(t, cfg)
				i := 0
				ask := func(candidates ...string) *affinity.Selection[string] {
					req := new(extract.Request)
					if i++; turn != nil {
						req = turn(1, i)
					}
					n := i
					if strings.HasSuffix(kind, "twice") {
						n = i / 2
					}
					x.now = extract.Session{Source: "x", ID: fmt.Sprint(n), Confidence: extract.Derived,
						Aliases: []string{fmt.Sprint("alias ", n)}, Continues: []string{fmt.Sprint("alias ", n-1)}}
					sel := mustSelect(t, s, req, candidates...)
					sel.Done(served)
					elapse(time.Second)
					return sel
				}
				f(t, ask, func() {
					cfg.Cache, cfg.Lifetime = s.Cache(), func(extract.Session) time.Duration { return time.Minute }
					s = newSelector(t, cfg)
				})
			})
		})
	}
}

// A detour that ends later than the home does, since the lifetimes of a new configuration
// are shorter, is not where the session was last for ever.
func TestShorterLifetimesOfANewConfiguration(t *testing.T) {
	t.Parallel()
	shorter(t, func(t *testing.T, ask func(...string) *affinity.Selection[string], reload func()) {
		for range 3 {
			ask("a", "b")
		}
		for range 3 {
			require.Equal(t, "b", ask("b").Target)
		}
		reload()
		ask("a", "b") // a is back from now on
		elapse(10 * time.Second)
		require.Equal(t, affinity.ReasonReturned, ask("a", "b").Reason)
		for range 5 {
			sel := ask("a", "b")
			require.Contains(t, []affinity.Reason{affinity.ReasonBound, affinity.ReasonInherited}, sel.Reason)
			require.Equal(t, "a", sel.Target)
			require.Empty(t, sel.From)
		}
		require.Equal(t, "b", ask("b", "0").Target, "it is known where it was")
	})
}

// Nor is a home that would live longer than the detour.
func TestDetourAfterShorterLifetimes(t *testing.T) {
	t.Parallel()
	shorter(t, func(t *testing.T, ask func(...string) *affinity.Selection[string], reload func()) {
		for range 4 {
			ask("a")
		}
		reload()
		sel := ask("b")
		require.Equal(t, affinity.ReasonFailover, sel.Reason)
		require.Equal(t, "a", sel.From)
		for range 5 {
			sel = ask("0", "b")
			require.Equal(t, affinity.ReasonDetour, sel.Reason)
			require.Equal(t, "b", sel.Target)
		}
		elapse(time.Second)
		require.Equal(t, affinity.ReasonDetour, ask("a", "b").Reason, "a is back from now on")
		elapse(10 * time.Second)
		require.Equal(t, affinity.ReasonReturned, ask("a", "b").Reason)
		require.Equal(t, "a", ask("a", "b").Target)
		require.Equal(t, "b", ask("b", "0").Target, "it is known where it was")
	})
}

// The turn before, from which a detour begins, has a home of its own, which ends when it would have.
func TestTurnBeforeADetourAfterShorterLifetimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := affinity.Config[string]{Failover: affinity.FailoverReturn, Fallback: balance.FillFirst[string]()}
		s := newSelector(t, cfg)
		mustSelect(t, s, chatTurn(1, 1), "a").Done(served)
		elapse(time.Second)
		cfg.Cache, cfg.Lifetime = s.Cache(), func(extract.Session) time.Duration { return time.Minute }
		s = newSelector(t, cfg)
		sel := mustSelect(t, s, chatTurn(1, 2), "b")
		require.Equal(t, []any{"a", affinity.ReasonFailover}, []any{sel.From, sel.Reason})
		sel.Done(served)
		elapse(2 * time.Minute)
		require.Equal(t, affinity.ReasonBound, mustSelect(t, s, chatTurn(1, 1), "a").Reason)
	})
}

// What is bound to a home for long, and served there while the session is on a detour, ends as
// it would have.
func TestOutcomeOfAHomeThatIsShortened(t *testing.T) {
	t.Parallel()
	for result, home := range map[affinity.Result]bool{affinity.Served: true, affinity.TerminalFailure: false} {
		synctest.Test(t, func(t *testing.T) {
			cfg := affinity.Config[string]{Failover: affinity.FailoverReturn, Fallback: balance.FillFirst[string]()}
			s := newSelector(t, cfg)
			long := mustSelect(t, s, session("s"), "a")
			elapse(time.Second)
			cfg.Cache, cfg.Lifetime = s.Cache(), func(extract.Session) time.Duration { return time.Minute }
			s = newSelector(t, cfg)
			for range 3 {
				mustSelect(t, s, session("s"), "b").Done(served)
				elapse(time.Second)
			}
			b, ok := s.Peek(session("s"))
			require.True(t, ok)
			require.Equal(t, "a", b.Target)
			require.Equal(t, 1, b.Active)
			require.Less(t, time.Until(b.Expires), time.Minute)
			long.Done(affinity.Outcome{Result: result})
			b, _ = s.Peek(session("s"))
			require.Equal(t, home, b.Target == "a")
			require.Zero(t, b.Active)
		})
	}
}

// Nor is the second place of a session that moves for good.
func TestMoveAfterShorterLifetimes(t *testing.T) {
	t.Parallel()
	each(t, conversations, func(t *testing.T, turn func(n, i int) *extract.Request) {
		cfg := affinity.Config[string]{Failover: affinity.FailoverReturn, Fallback: balance.FillFirst[string]()}
		s := newSelector(t, cfg)
		i := 0
		ask := func(candidates ...string) *affinity.Selection[string] {
			i++
			sel := mustSelect(t, s, turn(1, min(i, 2)), candidates...)
			sel.Done(served)
			elapse(time.Second)
			return sel
		}
		ask("a")
		ask("b")
		cfg.Cache, cfg.Lifetime = s.Cache(), func(extract.Session) time.Duration { return time.Minute }
		s = newSelector(t, cfg)
		s.Drain("a", time.Time{})
		require.Equal(t, affinity.ReasonFailover, ask("c").Reason)
		mustSelect(t, s, session("other"), "c")
		mustSelect(t, s, session("other"), "d") // c is away now
		for range 3 {
			sel := ask("b", "c")
			require.Equal(t, "c", sel.Target)
			require.Equal(t, affinity.ReasonBound, sel.Reason)
		}
	})
}

// A detour whose record goes while the request is charged does not take from the home's
// life.
func TestDetourThatGoesMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		call := func() {}
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn,
			Fallback: faulty{newAuditor(t), func() { call() }}})
		for _, target := range []string{"a", "b"} {
			mustSelect(t, s, session("s"), target).Done(served)
			elapse(time.Second)
		}
		elapse(50 * time.Minute)
		mustSelect(t, s, session("s"), "a").Done(served)
		call = func() {
			s.Cache().DeleteFunc(func(_ affinity.Key, b affinity.Binding) bool { return b.Aside })
		}
		require.Equal(t, "b", mustSelect(t, s, session("s"), "b").Target)
		require.Equal(t, affinity.DefaultTTL, time.Until(mustPeek(t, s, session("s")).Expires))
	})
}

// A detour that has become the home is one place and not two.
func TestDetourThatIsTheHome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := affinity.Config[string]{Failover: affinity.FailoverReturn, Fallback: balance.FillFirst[string]()}
		s := newSelector(t, cfg)
		mustSelect(t, s, session("s"), "a", "b").Done(served)
		mustSelect(t, s, session("s"), "b").Done(served)
		s.InvalidateTarget("a")
		mustSelect(t, s, session("other"), "b").Done(served)
		mustSelect(t, s, session("other"), "a").Done(served) // b is away now
		cfg.Cache, cfg.Lifetime = s.Cache(), func(extract.Session) time.Duration { return time.Minute }
		s = newSelector(t, cfg)
		for range 3 {
			sel := mustSelect(t, s, session("s"), "a", "b")
			require.Equal(t, "b", sel.Target)
			require.Equal(t, affinity.ReasonBound, sel.Reason)
			require.Empty(t, sel.From)
			elapse(time.Second)
		}
	})
}

// Learned state lives as long as a session that is known by it, whose idle time is
// reckoned from that.
func TestIdleOfLearnedState(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Lifetime: func(s extract.Session) time.Duration {
			if s.Confidence == extract.Derived {
				return 30 * time.Minute
			}
			return 4 * time.Hour
		}})
		sel := mustSelect(t, s, body(`{"input":"hello","store":true}`), "a")
		sel.Done(affinity.Outcome{Result: affinity.Served})
		sel.Learn("resp_1")
		elapse(time.Minute)
		require.Equal(t, time.Minute, mustSelect(t, s, body(`{"input":"go on","previous_response_id":"resp_1"}`), "a").Idle)
	})
}

// How long it is since state was learned is not known where it lives for longer than
// what is used now: so nothing is learned from that.
func TestLearnedStateTeachesNothing(t *testing.T) {
	t.Parallel()
	for _, strict := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) { learnedStateTeachesNothing(t, strict) })
	}
}

func learnedStateTeachesNothing(t *testing.T, strict bool) {
	s := newSelector(t, affinity.Config[string]{FailPinned: strict, Fallback: balance.FillFirst[string]()})
	for k := range 50 {
		id := "resp_" + strconv.Itoa(k)
		sel := mustSelect(t, s, session(id), "a")
		sel.Learn(id)
		sel.Done(tokens(0, 100_000))
		elapse(40 * time.Minute) // nothing is left by then
		mustSelect(t, s, body(`{"input":"go on","previous_response_id":"`+id+`"}`), "a").Done(tokens(0, 100_000))
	}
	teachHalfAnHour(t, s)
	for k := range 40 {
		mustSelect(t, s, session(strconv.Itoa(k)), "a").Done(tokens(0, 5000))
	}
	elapse(45 * time.Minute)
	require.Greater(t, expired(t, s, 40), 20)
}

// A configuration that is replaced by an equal one learns, and believes, as if it had
// not been.
func TestReloadsStillLearn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, err := affinity.NewCache(affinity.CacheConfig{TTL: 4 * time.Hour})
		require.NoError(t, err)
		reload := func() *affinity.Selector[string] {
			return newSelector(t, affinity.Config[string]{Cache: c, Fallback: balance.FillFirst[string]()})
		}
		expired := 0
		for k := range 60 {
			req, s := session(strconv.Itoa(k)), reload()
			mustSelect(t, s, req, "a").Done(tokens(20_000, 80_000))
			elapse(time.Second)
			mustSelect(t, s, req, "a").Done(tokens(90_000, 10_000))
			for range 4 {
				elapse(10 * time.Minute)
				s = reload()
			}
			elapse(5 * time.Minute)
			sel := mustSelect(t, s, req, "b", "a")
			if sel.Reason == affinity.ReasonExpired {
				expired++
			}
			sel.Done(tokens(20_000, 80_000))
		}
		require.Greater(t, expired, 30)
	})
}

// How long a session was away is not known where its lifetime has become longer.
func TestIdleAfterALongerLifetime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, err := affinity.NewCache(affinity.CacheConfig{TTL: time.Hour})
		require.NoError(t, err)
		mustSelect(t, newSelector(t, affinity.Config[string]{Cache: c}), session("x"), "a").Done(tokens(0, 5000))
		elapse(time.Minute)
		s := newSelector(t, affinity.Config[string]{Cache: c, Lifetime: func(extract.Session) time.Duration { return 4 * time.Hour }})
		require.Zero(t, mustSelect(t, s, session("x"), "a").Idle)
	})
}

// Nor is it where its lifetime has become shorter, so that it teaches nothing.
func TestShorterLifetimesTeachNothing(t *testing.T) {
	t.Parallel()
	each(t, conversations, func(t *testing.T, turn func(n, i int) *extract.Request) {
		s := newSelector(t, affinity.Config[string]{})
		for n := range 40 {
			mustSelect(t, s, turn(n, 1), "a").Done(tokens(0, 90_000))
		}
		s = newSelector(t, affinity.Config[string]{Cache: s.Cache(), Fallback: balance.FillFirst[string](),
			Lifetime: func(extract.Session) time.Duration { return 30 * time.Minute }})
		elapse(10 * time.Minute)
		for n := range 40 { // which would look like turns without a pause, of which little is cached
			sel := mustSelect(t, s, turn(n, 2), "a")
			require.Zero(t, sel.Idle)
			sel.Done(tokens(0, 90_000))
		}
		for n := range 12 {
			id := session(fmt.Sprint("teacher ", n))
			for _, cached := range []int{20_000, 90_000} {
				mustSelect(t, s, id, "a").Done(tokens(cached, 100_000-cached))
				elapse(time.Second)
			}
			elapse(6 * time.Minute)
			mustSelect(t, s, id, "a").Done(tokens(20_000, 80_000))
		}
		require.NotZero(t, visits(t, s, 50, 7*time.Minute, "a", "b", "a")[affinity.ReasonExpired])
	})
}

// A session in use whose lifetime has changed is not taken for one that has paused.
func TestAnotherLifetimeOfASessionInUse(t *testing.T) {
	t.Parallel()
	for _, ttl := range []time.Duration{30 * time.Minute, 4 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			s := newSelector(t, affinity.Config[string]{})
			teach(t, s, "a")
			for n := range 40 {
				mustSelect(t, s, session(fmt.Sprint(n)), "a").Done(served)
			}
			s = newSelector(t, affinity.Config[string]{Cache: s.Cache(), Lifetime: func(extract.Session) time.Duration { return ttl }})
			for range 20 {
				elapse(time.Minute)
				for n := range 40 {
					sel := mustSelect(t, s, session(fmt.Sprint(n)), "b", "a")
					require.Equal(t, affinity.ReasonBound, sel.Reason, ttl)
					sel.Done(served)
				}
			}
		})
	}
}

// A session whose detour has gone does not return to a home that has lost its prompt, but
// is placed anew. So is one that was nowhere else, when its home has gone as well.
func TestColdHomeOfADetourThatHasGone(t *testing.T) {
	t.Parallel()
	each(t, conversations, func(t *testing.T, turn func(n, i int) *extract.Request) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, Fallback: always("c")})
		others := newSelector(t, affinity.Config[string]{Cache: s.Cache(), Failover: affinity.FailoverReturn, Fallback: balance.FillFirst[string]()})
		teach(t, others, "a")
		round := func(i, from int, candidates ...string) map[affinity.Reason]int {
			reasons := map[affinity.Reason]int{}
			for n := from; n < from+128; n++ {
				by := others
				if len(candidates) > 1 {
					by = s
				}
				sel := mustSelect(t, by, turn(n, i), candidates...)
				sel.Done(served)
				reasons[sel.Reason]++
				if sel.Reason == affinity.ReasonExpired {
					require.Equal(t, []string{"c", "a"}, []string{sel.Target, sel.From})
				}
			}
			elapse(time.Minute)
			return reasons
		}
		round(1, 0, "a")
		round(1, 200, "a")
		round(2, 0, "b")
		elapse(8 * time.Minute)
		require.Greater(t, round(3, 0, "a", "b2", "c")[affinity.ReasonExpired], 100, "all but one in 16")
		require.Equal(t, 128, round(2, 200, "b", "c")[affinity.ReasonFailover])
		at := round(3, 200, "a", "b", "c")
		require.Greater(t, at[affinity.ReasonBound]+at[affinity.ReasonInherited], 100, "c is the home")
	})
}

// A new thread of a session whose prompts are lost is new, and was nowhere.
func TestThreadsOfTheExpired(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Fallback: balance.FillFirst[string]()})
		teachHalfAnHour(t, s)
		for k := range 16 {
			mustSelect(t, s, claudeAgent(strconv.Itoa(k), "", ""), "a").Done(tokens(0, 5000))
		}
		elapse(45 * time.Minute)
		for k := range 16 {
			sel := mustSelect(t, s, claudeAgent(strconv.Itoa(k), "x", ""), "b", "a")
			require.NotEqual(t, affinity.ReasonExpired, sel.Reason)
			require.Empty(t, sel.From)
		}
		require.Greater(t, s.Stats().Selected[affinity.ReasonNew], uint64(12+16), "but for those that explore")
	})
}

// Outcomes in any order, from any session, with lives of all lengths.
func TestLifetimesAtRandom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 2))
		s := newSelector(t, affinity.Config[string]{Fallback: balance.FillFirst[string]()})
		life := map[string]time.Duration{"a": 5 * time.Minute, "b": 40 * time.Minute}
		for range 2000 { // one visit of a session each: a fresh one, then one after a pause
			target := []string{"a", "b"}[rng.IntN(2)]
			req := &extract.Request{Header: session(fmt.Sprint(rng.Uint64())).Header}
			mustSelect(t, s, req, target).Done(tokens(0, 50_000))
			elapse(time.Second)
			mustSelect(t, s, req, target).Done(tokens(45_000, 5_000))
			pause := time.Duration(rng.ExpFloat64() * float64(10*time.Minute))
			elapse(pause)
			if sel := mustSelect(t, s, req, target); pause < life[target] {
				sel.Done(tokens(45_000, 5_000))
			} else {
				sel.Done(tokens(0, 50_000))
			}
		}
		require.NotZero(t, visits(t, s, 64, 6*time.Minute, "a", "x", "a")[affinity.ReasonExpired])
		require.Zero(t, visits(t, s, 64, 19*time.Minute, "b", "x", "b")[affinity.ReasonExpired])
		require.NotZero(t, visits(t, s, 64, 50*time.Minute, "b", "x", "b")[affinity.ReasonExpired])
	})
}

// What a target does not have of a prompt that was elsewhere teaches nothing of how
// long it keeps prompts.
func TestFailoverTeachesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Fallback: balance.FillFirst[string]()})
		for range 5 { // b has a cache
			mustSelect(t, s, session("of b"), "b").Done(tokens(80_000, 10_000))
			elapse(time.Second)
		}
		for i := range 10 {
			mustSelect(t, s, session(fmt.Sprint(i)), "a").Done(served)
		}
		elapse(6 * time.Minute)
		for i := range 10 {
			sel := mustSelect(t, s, session(fmt.Sprint(i)), "b")
			require.Equal(t, affinity.ReasonFailover, sel.Reason)
			sel.Done(tokens(0, 90_000))
		}
		require.Equal(t, map[affinity.Reason]int{affinity.ReasonBound: 50}, visits(t, s, 50, 6*time.Minute, "b", "c", "b"))
	})
}

// A binding lives from when its session was placed, however long that took.
func TestLifeBeginsWhenThePlaceIsKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := affinity.PickerFunc[string](func(_ context.Context, _ *extract.Request, candidates []string) (string, error) {
			elapse(10 * time.Minute)
			return candidates[0], nil
		})
		s := newSelector(t, affinity.Config[string]{Fallback: slow, TTL: time.Hour})
		_, err := s.Pick(t.Context(), session("1"), []string{"a"})
		require.NoError(t, err)
		b, ok := s.Peek(session("1"))
		require.True(t, ok)
		require.Equal(t, time.Hour, time.Until(b.Expires))
	})
}

// A session that was moved by hand says nothing of how long its new target keeps prompts: that has
// never had this one.
func TestMovedSessionsTeachNothing(t *testing.T) {
	t.Parallel()
	ofA := func(_ affinity.Key, b affinity.Binding) bool { return b.Target == "a" }
	for name, move := range map[string]func(*affinity.Cache){
		"MoveFunc": func(c *affinity.Cache) { c.MoveFunc("b", ofA) },
		"Set": func(c *affinity.Cache) {
			for k, b := range c.All() {
				if ofA(k, b) {
					c.Set(k, "b")
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachConversation(t, func(t *testing.T, p affinity.FailoverPolicy, turn func(n, i int) *extract.Request) {
				cache, err := affinity.NewCache(affinity.CacheConfig{TTL: time.Minute})
				require.NoError(t, err)
				s := newSelector(t, affinity.Config[string]{
					Cache: cache, Failover: p, Fallback: balance.FillFirst[string](),
					Lifetime: func(extract.Session) time.Duration { return time.Hour },
				})
				for range 4 {
					mustSelect(t, s, session("of b"), "b").Done(tokens(80_000, 10_000))
				}
				for n := range 10 {
					mustSelect(t, s, turn(n, 1), "a").Done(tokens(0, 90_000))
				}
				elapse(10 * time.Minute)
				move(cache)
				for n := range 10 {
					sel := mustSelect(t, s, turn(n, 2), "a", "b")
					require.Equal(t, "b", sel.Target)
					sel.Done(tokens(0, 90_000))
				}
				require.Equal(t, map[affinity.Reason]int{affinity.ReasonBound: 320}, visits(t, s, 320, 10*time.Minute, "b", "a", "b"))
			})
		})
	}
}

// teachesTen reports whether ask, which comes after a pause of ten minutes each time and finds
// nothing cached, lets s learn that a keeps prompts for no longer.
func teachesTen(t *testing.T, ask func(s *affinity.Selector[string], i int)) bool {
	t.Helper()
	s := newSelector(t, affinity.Config[string]{Fallback: balance.FillFirst[string]()})
	for range 4 {
		mustSelect(t, s, session("teacher"), "a").Done(tokens(80_000, 10_000))
	}
	for i := range 4 {
		ask(s, i)
		elapse(10 * time.Minute)
	}
	return visits(t, s, 320, 10*time.Minute, "a", "b", "a")[affinity.ReasonExpired] > 250
}

// A pause counts although a request after it has failed, and comes again.
func TestPauseBeforeAFailure(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"by an id", "a thread"} {
		synctest.Test(t, func(t *testing.T) {
			require.True(t, teachesTen(t, func(s *affinity.Selector[string], i int) {
				if i > 0 {
					mustSelect(t, s, conversations[id](1, i), "a").Done(affinity.Outcome{Result: affinity.TransientFailure})
				}
				mustSelect(t, s, conversations[id](1, i), "a").Done(tokens(0, 90_000))
			}), id)
		})
	}
}

// Until a session was served, its target has never had the prompt.
func TestFailuresAtFirstTeachNothing(t *testing.T) {
	t.Parallel()
	for _, failed := range []affinity.Result{affinity.TransientFailure, affinity.Neutral} {
		synctest.Test(t, func(t *testing.T) {
			require.False(t, teachesTen(t, func(s *affinity.Selector[string], i int) {
				mustSelect(t, s, session(fmt.Sprint(i)), "a").Done(affinity.Outcome{Result: failed})
				if i > 0 {
					mustSelect(t, s, session(fmt.Sprint(i-1)), "a").Done(tokens(0, 90_000))
				}
			}))
		})
	}
}

// A fork pauses for as long as nobody has used what it has in common with others.
func TestForksTeach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		require.True(t, teachesTen(t, func(s *affinity.Selector[string], i int) {
			trunk := `{"role":"user","content":"one question"}`
			if i == 0 {
				mustSelect(t, s, body(`{"messages":[`+trunk+`]}`), "a").Done(tokens(0, 90_000))
			}
			fork := fmt.Sprintf(`{"role":"assistant","content":"x"},{"role":"user","content":"another, %d"}`, i)
			mustSelect(t, s, body(`{"messages":[`+trunk+`,`+fork+`]}`), "a").Done(tokens(0, 90_000))
		}))
	})
}

// Conversations that are known by state teach, too, even if that is learned after the outcome.
func TestStateThatIsLearnedLateTeaches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		require.True(t, teachesTen(t, func(s *affinity.Selector[string], i int) {
			sel := mustSelect(t, s, body(fmt.Sprintf(`{"previous_response_id":"resp_%d","input":"x"}`, i)), "a")
			sel.Done(tokens(0, 90_000))
			sel.Learn(fmt.Sprint("resp_", i+1))
		}))
	})
}
