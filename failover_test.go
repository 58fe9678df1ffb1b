package affinity_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
	"github.com/go-affinity/affinity/extract"
)

var policies = map[string]affinity.FailoverPolicy{"rebind": affinity.FailoverRebind, "return": affinity.FailoverReturn}

// chatTurn is a turn of a conversation that is known by its messages alone.
func chatTurn(chat, turn int) *extract.Request {
	messages := ""
	for i := range turn {
		if i > 0 {
			messages += `,{"role":"assistant","content":"ok"},`
		}
		messages += fmt.Sprintf(`{"role":"user","content":"chat %d question %d"}`, chat, i)
	}
	return body(`{"messages":[` + messages + `]}`)
}

// conversations are three kinds of client: turn i of conversation n.
var conversations = map[string]func(n, i int) *extract.Request{
	"by an id":        func(n, _ int) *extract.Request { return session(fmt.Sprint(n)) },
	"by its messages": chatTurn,
	"a thread":        func(n, _ int) *extract.Request { return claudeAgent(fmt.Sprint("s", n), "agent-1", "") },
}

// each runs f in a bubble for each of the cases, side by side.
func each[V any](t *testing.T, cases map[string]V, f func(t *testing.T, v V)) {
	for name, v := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { f(t, v) })
		})
	}
}

// eachConversation runs f in a bubble for each policy and kind of conversation, side by side.
func eachConversation(t *testing.T, f func(t *testing.T, p affinity.FailoverPolicy, turn func(n, i int) *extract.Request)) {
	for policy, p := range policies {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			each(t, conversations, func(t *testing.T, turn func(n, i int) *extract.Request) { f(t, p, turn) })
		})
	}
}

// asking returns what sends the next turn of a conversation: one request that is served at
// once, a second before the next.
func asking(t *testing.T, s *affinity.Selector[string], turn func(n, i int) *extract.Request) (ask func(candidates ...string) *affinity.Selection[string]) {
	i := 0
	return func(candidates ...string) *affinity.Selection[string] {
		t.Helper()
		i++
		sel := mustSelect(t, s, turn(1, i), candidates...)
		sel.Done(served)
		elapse(time.Second)
		return sel
	}
}

// forAll runs f in a bubble for each policy and kind of conversation.
func forAll(t *testing.T, f func(t *testing.T, s *affinity.Selector[string], ask func(candidates ...string) *affinity.Selection[string])) {
	eachConversation(t, func(t *testing.T, p affinity.FailoverPolicy, turn func(n, i int) *extract.Request) {
		s := newSelector(t, affinity.Config[string]{Failover: p, Fallback: balance.FillFirst[string]()})
		f(t, s, asking(t, s, turn))
	})
}

// A target that fails the request that a session comes with has not been its home. So where
// a request fails at one target after the other, the session goes back to where its prompt is.
func TestFailoverThatFails(t *testing.T) {
	t.Parallel()
	eachConversation(t, func(t *testing.T, p affinity.FailoverPolicy, turn func(n, i int) *extract.Request) {
		s := newSelector(t, affinity.Config[string]{Failover: p, Fallback: balance.FillFirst[string]()})
		ask := func(i int, r affinity.Result, from string, candidates ...string) {
			sel := mustSelect(t, s, turn(1, i), candidates...)
			require.Equal(t, candidates[0], sel.Target)
			require.Equal(t, from, sel.From)
			sel.Done(affinity.Outcome{Result: r})
			elapse(time.Second)
		}
		ask(1, affinity.Served, "", "a", "b", "c", "d")
		ask(2, affinity.Served, "", "a", "b", "c", "d")
		ask(3, affinity.TransientFailure, "", "a", "b", "c", "d")
		ask(3, affinity.TransientFailure, "a", "b", "c", "d")
		ask(3, affinity.TransientFailure, "a", "c", "d")
		ask(3, affinity.TransientFailure, "a", "d")
		for _, b := range s.Cache().All() {
			require.Equal(t, "a", b.Target)
		}
		ask(3, affinity.Served, "", "a", "d", "c", "b")
		ask(4, affinity.Served, "", "a", "d", "c", "b")
		if p == affinity.FailoverReturn {
			return
		}
		ask(5, affinity.TransientFailure, "", "a", "b", "c", "d")
		ask(5, affinity.TransientFailure, "a", "b", "c", "d")
		ask(5, affinity.Served, "a", "c", "d")
		ask(6, affinity.Served, "", "c", "a", "b", "d")
		ask(6, affinity.TransientFailure, "", "c", "a", "b", "d") // which is no reason to leave
		ask(6, affinity.Served, "", "c", "a", "b", "d")
	})
}

// An answer that breaks off shows that the target has read the prompt.
func TestFailoverThatBreaksOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Fallback: balance.FillFirst[string]()})
		mustSelect(t, s, session("s"), "a").Done(served)
		elapse(time.Second)
		mustSelect(t, s, session("s"), "b", "c").Done(affinity.Outcome{Result: affinity.TransientFailure, Usage: affinity.Usage{Uncached: 5000}})
		require.Equal(t, "b", mustSelect(t, s, session("s"), "c", "b").Target)
	})
}

// Where it was is the home again for all who ask, not only for the session's next turn.
func TestFailoverThatFailsLeavesAHome(t *testing.T) {
	t.Parallel()
	atHome := func(t *testing.T) *affinity.Selector[string] {
		s := newSelector(t, affinity.Config[string]{Fallback: balance.FillFirst[string]()})
		mustSelect(t, s, claudeAgent("1", "", ""), "a", "b").Done(served)
		elapse(time.Second)
		mustSelect(t, s, claudeAgent("1", "", ""), "b").Done(affinity.Outcome{Result: affinity.TransientFailure})
		elapse(time.Second)
		return s
	}
	synctest.Test(t, func(t *testing.T) {
		s := atHome(t)
		require.Equal(t, map[string]int{"a": 1}, s.Counts(), "who waits for a drain")
		require.Equal(t, "a", mustSelect(t, s, claudeAgent("1", "x", ""), "z", "a", "b").Target, "its sub-agent")
	})
	synctest.Test(t, func(t *testing.T) {
		s := atHome(t)
		home, _ := s.Peek(claudeAgent("1", "", ""))
		require.False(t, home.Aside)
		require.Equal(t, 1, s.Cache().MoveFunc("c", func(_ affinity.Key, b affinity.Binding) bool { return b.Session == home.Session }))
		require.Equal(t, "c", mustSelect(t, s, claudeAgent("1", "", ""), "z", "a", "b", "c").Target, "moved")
	})
}

// What an operator has ended is not undone as well.
func TestFailoverThatFailsAtAnInvalidTarget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Fallback: balance.FillFirst[string]()})
		mustSelect(t, s, session("s"), "a").Done(served)
		elapse(time.Second)
		moves := mustSelect(t, s, session("s"), "b")
		elapse(time.Second)
		s.InvalidateTarget("b")
		left := maps.Collect(s.Cache().All())
		moves.Done(affinity.Outcome{Result: affinity.TransientFailure})
		require.Equal(t, left, maps.Collect(s.Cache().All()))
	})
}

// The failure of one request does not undo what another has been served by, or waits for.
func TestFailoverThatFailsOneOfTwo(t *testing.T) {
	t.Parallel()
	for _, first := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newSelector(t, affinity.Config[string]{Fallback: balance.FillFirst[string]()})
			mustSelect(t, s, session("s"), "a").Done(served)
			elapse(time.Second)
			moves, follows := mustSelect(t, s, session("s"), "b", "c"), mustSelect(t, s, session("s"), "b", "c")
			elapse(time.Second)
			if first {
				moves.Done(affinity.Outcome{Result: affinity.TransientFailure})
				follows.Done(served)
			} else {
				follows.Done(served)
				moves.Done(affinity.Outcome{Result: affinity.TransientFailure})
			}
			require.Equal(t, "b", mustSelect(t, s, session("s"), "a", "b", "c").Target)
		})
	}
}

// A session that has to move again goes where it was before, rather than to a
// third target.
func TestNeverAThirdTarget(t *testing.T) {
	t.Parallel()
	forAll(t, func(t *testing.T, s *affinity.Selector[string], ask func(...string) *affinity.Selection[string]) {
		require.Equal(t, "a", ask("a").Target)
		require.Equal(t, "b", ask("b").Target)
		for range 5 {
			require.Equal(t, "a", ask("0", "a").Target)
			require.Equal(t, "b", ask("0", "b").Target)
			require.Equal(t, "b", ask("0", "b").Target)
		}
		require.Equal(t, "c", ask("c").Target, "both are gone")
		require.NotEqual(t, "0", ask("0", "b", "c", "a").Target)
	})
}

// While the home is away, requests do not go to b, c, b, c by turns.
func TestOneDetourWhileTheHomeCools(t *testing.T) {
	t.Parallel()
	forAll(t, func(t *testing.T, s *affinity.Selector[string], ask func(...string) *affinity.Selection[string]) {
		ask("a")
		moves, last := 0, ask("b", "c", "d").Target
		for i := range 20 {
			candidates := []string{"b", "c", "d"}
			if i%2 == 0 {
				slices.Reverse(candidates)
			}
			sel := ask(candidates...)
			require.Contains(t, []affinity.Reason{affinity.ReasonBound, affinity.ReasonInherited, affinity.ReasonDetour}, sel.Reason)
			if sel.Target != last {
				moves, last = moves+1, sel.Target
			}
		}
		require.Zero(t, moves)
	})
}

// A session that goes on a detour at the very instant of its last use at home, as far as the
// clock can tell, is on a detour.
func TestDetourAtTheSameInstant(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn})
		mustSelect(t, s, session("s"), "a").Done(served)
		require.Equal(t, affinity.ReasonFailover, mustSelect(t, s, session("s"), "b").Reason)
		require.Equal(t, affinity.ReasonDetour, mustSelect(t, s, session("s"), "b").Reason)
		sel := mustSelect(t, s, session("s"), "a", "b")
		require.Equal(t, affinity.ReasonReturned, sel.Reason)
		require.Equal(t, "b", sel.From)
	})
}

// A session whose first request has failed for good does not go back to where it never was,
// and stays where another of its requests was served meanwhile.
func TestFirstRequestFails(t *testing.T) {
	t.Parallel()
	eachConversation(t, func(t *testing.T, p affinity.FailoverPolicy, turn func(n, i int) *extract.Request) {
		s := newSelector(t, affinity.Config[string]{Failover: p, Fallback: balance.FillFirst[string]()})
		first := mustSelect(t, s, turn(1, 1), "a", "b")
		require.Equal(t, affinity.ReasonNew, first.Reason)
		meanwhile := mustSelect(t, s, turn(1, 1), "c")
		first.Done(affinity.Outcome{Result: affinity.TerminalFailure})
		meanwhile.Done(served)
		mustSelect(t, s, turn(1, 1), "b", "c").Done(served)
		require.Equal(t, "c", mustSelect(t, s, turn(1, 2), "a", "b", "c").Target)

		mustSelect(t, s, turn(2, 1), "a", "b").Done(affinity.Outcome{Result: affinity.TerminalFailure})
		mustSelect(t, s, turn(2, 1), "b").Done(served)
		require.Equal(t, "b", mustSelect(t, s, turn(2, 2), "a", "b").Target)
	})
}

// A home that is gone is not waited for.
func TestRebind(t *testing.T) {
	t.Parallel()
	each(t, conversations, func(t *testing.T, turn func(n, i int) *extract.Request) {
		s := newSelector(t, affinity.Config[string]{Fallback: balance.FillFirst[string]()})
		ask := asking(t, s, turn)
		one := ask("a")
		moved := ask("b", "c")
		require.Equal(t, affinity.ReasonFailover, moved.Reason)
		require.Equal(t, "a", moved.From)
		require.Equal(t, one.Session, moved.Session)
		for range 3 {
			home := ask("a", "b", "c")
			require.Equal(t, "b", home.Target, "what served is the home")
			require.Contains(t, []affinity.Reason{affinity.ReasonBound, affinity.ReasonInherited}, home.Reason)
			require.Empty(t, home.From)
		}
		back := ask("c", "a")
		require.Equal(t, "a", back.Target)
		require.Equal(t, affinity.ReasonFailover, back.Reason)
		require.Equal(t, "b", back.From)
		require.Equal(t, "a", ask("a", "b", "c").Target)
	})
}

// The second place is of use for as long as it can hold the prompt.
func TestSecondPlaceExpires(t *testing.T) {
	t.Parallel()
	each(t, policies, func(t *testing.T, p affinity.FailoverPolicy) {
		s := newSelector(t, affinity.Config[string]{TTL: 10 * time.Minute, Failover: p, Fallback: balance.FillFirst[string]()})
		ask := func(candidates ...string) string {
			sel := mustSelect(t, s, session("s"), candidates...)
			sel.Done(served)
			return sel.Target
		}
		require.Equal(t, "a", ask("a"))
		elapse(time.Second)
		require.Equal(t, "b", ask("b"))
		for range 12 {
			elapse(time.Minute)
			require.Equal(t, "b", ask("b"))
		}
		require.Equal(t, "c", ask("c", "a"), "a was not used for longer than the TTL")
	})
}

// What went aside comes back.
func TestReturn(t *testing.T) {
	t.Parallel()
	for kind, turn := range conversations {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, Fallback: balance.FillFirst[string]()})
				i := 0
				expect := func(target string, reason affinity.Reason, from string, candidates ...string) {
					t.Helper()
					i++
					sel := mustSelect(t, s, turn(1, i), candidates...)
					sel.Done(served)
					elapse(time.Second)
					if reason == affinity.ReasonBound && kind == "by its messages" {
						reason = affinity.ReasonInherited // each turn has a key of its own
					}
					require.Equal(t, target, sel.Target)
					require.Equal(t, reason, sel.Reason)
					require.Equal(t, from, sel.From)
				}
				expect("a", affinity.ReasonNew, "", "a")
				expect("a", affinity.ReasonBound, "", "a", "b", "c")
				// One call without the home is not a failure of it.
				expect("b", affinity.ReasonFailover, "a", "b", "c")
				expect("a", affinity.ReasonReturned, "b", "a", "b", "c")
				expect("a", affinity.ReasonBound, "", "a", "b", "c")
				// The detour is always the same.
				expect("b", affinity.ReasonFailover, "a", "c", "b")
				expect("b", affinity.ReasonDetour, "a", "c", "b")
				expect("b", affinity.ReasonDetour, "a", "b", "c")
				// If it goes as well, there is another.
				expect("c", affinity.ReasonFailover, "a", "c", "d")
				expect("c", affinity.ReasonDetour, "a", "b", "c", "d")
				// The home is back, the detour gone: nobody waits.
				expect("a", affinity.ReasonReturned, "c", "a", "b", "d")
				expect("a", affinity.ReasonBound, "", "a", "b", "d")
			})
		})
	}
}

// What was tried already, is full, slow or too small for a request is not among its
// candidates, and still its session's home.
func TestAbsenceInOneCall(t *testing.T) {
	t.Parallel()
	each(t, conversations, func(t *testing.T, turn func(n, i int) *extract.Request) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, Fallback: balance.RoundRobin[string]()})
		all := []string{"a", "b", "c"}
		home, detours := map[int]string{}, map[int]string{}
		for i := range 200 {
			for n := range 30 {
				sel := mustSelect(t, s, turn(n, i/20+1), all...)
				if i == 0 {
					home[n] = sel.Target
				}
				require.Equal(t, home[n], sel.Target, "at home at once, however often another call went elsewhere")
				sel.Done(affinity.Outcome{Result: affinity.TransientFailure})
				if (i+n)%7 == 0 { // failed: tried again elsewhere
					elapse(time.Millisecond)
					others := slices.DeleteFunc(slices.Clone(all), func(x string) bool { return x == home[n] })
					retry := mustSelect(t, s, turn(n, i/20+1), others...)
					if detours[n] != "" {
						require.Equal(t, detours[n], retry.Target)
					}
					detours[n] = retry.Target
					retry.Done(served)
				}
				elapse(100 * time.Millisecond)
			}
		}
	})
}

// After an outage, the sessions of a target come back one by one.
func TestFailBackIsSpread(t *testing.T) {
	long(t)
	t.Parallel()
	const sessions = 400
	for kind, turn := range conversations {
		for _, outage := range []time.Duration{time.Minute, 10 * time.Minute, 40 * time.Minute} {
			t.Run(fmt.Sprint(kind, " ", outage), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn})
					i := 0
					round := func(candidates ...string) (home int) {
						i++
						for n := range sessions {
							req := turn(n, i)
							req.Scope = fmt.Sprint("tenant ", n%3)
							sel := mustSelect(t, s, req, candidates...)
							if sel.Target == "a" {
								home++
							}
							sel.Done(served)
						}
						return home
					}
					require.Equal(t, sessions, round("a"))
					for range 4 {
						require.Zero(t, round("b", "c"))
						elapse(outage / 4)
					}
					spread := min(outage, 5*time.Minute)
					at := func(share float64) int { return int(share * sessions) }
					require.LessOrEqual(t, round("a", "b", "c"), at(0.02), "no herd")
					elapse(spread / 5)
					require.InDelta(t, at(0.2), round("a", "b", "c"), float64(at(0.12)))
					elapse(spread * 3 / 10)
					half := round("a", "b", "c")
					require.InDelta(t, at(0.5), half, float64(at(0.15)))
					require.GreaterOrEqual(t, round("c", "b", "a"), half, "who is home stays")
					elapse(spread / 2)
					require.Equal(t, sessions, round("a", "b", "c"))
					require.Equal(t, sessions, round("a", "b", "c"))
				})
			})
		}
	}
}

// What a session has left is kept in mind for no longer than it would have been.
func TestEndOfASecondPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{})
		mustSelect(t, s, session("s"), "a").Done(served)
		elapse(20 * time.Minute)
		mustSelect(t, s, session("s"), "b").Done(served)
		left := map[string]time.Duration{}
		for _, b := range s.Cache().All() {
			left[b.Target] = time.Until(b.Expires)
		}
		require.Equal(t, map[string]time.Duration{"a": 40 * time.Minute, "b": time.Hour}, left)
	})
}

// Who is told of fewer candidates than others goes home at once: that was no outage.
func TestFailBackOfAFew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn})
		const few = 20
		for n := range few + 1 {
			mustSelect(t, s, session(strconv.Itoa(n)), "a").Done(served)
		}
		for n := range few {
			mustSelect(t, s, session(strconv.Itoa(n)), "b").Done(served)
			elapse(time.Second)
			mustSelect(t, s, session(strconv.Itoa(few)), "a", "b").Done(served)
		}
		for n := range few {
			require.Equal(t, affinity.ReasonReturned, mustSelect(t, s, session(strconv.Itoa(n)), "a", "b").Reason, n)
		}
	})
}

// A session that had no request during the outage has lost nothing and waits
// for nobody.
func TestWhoWasNotAwayIsHome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn})
		for n := range 100 {
			mustSelect(t, s, session(fmt.Sprint(n)), "a").Done(served)
		}
		for range 10 {
			elapse(time.Minute)
			for n := range 50 {
				mustSelect(t, s, session(fmt.Sprint(n)), "b").Done(served)
			}
		}
		mustSelect(t, s, session("0"), "a", "b").Done(served) // it is back
		for n := 50; n < 100; n++ {
			require.Equal(t, affinity.ReasonBound, mustSelect(t, s, session(fmt.Sprint(n)), "b", "a").Reason)
		}
	})
}

// A home that is away for longer than a binding lives is given up.
func TestHomeIsGivenUpAfterTheTTL(t *testing.T) {
	t.Parallel()
	each(t, conversations, func(t *testing.T, turn func(n, i int) *extract.Request) {
		s := newSelector(t, affinity.Config[string]{TTL: 10 * time.Minute, Failover: affinity.FailoverReturn})
		i := 0
		ask := func(candidates ...string) *affinity.Selection[string] {
			i++
			sel := mustSelect(t, s, turn(1, i), candidates...)
			sel.Done(served)
			elapse(time.Minute)
			return sel
		}
		one := ask("a")
		for range 12 {
			require.Equal(t, "b", ask("b").Target)
		}
		for range 12 {
			sel := ask("a", "b", "c")
			require.Equal(t, "b", sel.Target, "the detour is the home")
			require.Equal(t, one.Session, sel.Session)
		}
		require.Equal(t, "b", mustPeek(t, s, turn(1, i)).Target)
		require.NotEqual(t, "b", ask("c", "a").Target)
		require.Equal(t, affinity.ReasonReturned, ask("a", "b", "c").Reason)
	})
}

func mustPeek(t testing.TB, s *affinity.Selector[string], req *extract.Request) affinity.Binding {
	t.Helper()
	b, ok := s.Peek(req)
	require.True(t, ok)
	return b
}

// A second outage during the fail-back of the first does not call anybody back
// who is home, nor keep anybody away for longer.
func TestOutageDuringFailBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn})
		round := func(candidates ...string) (home int) {
			for n := range 200 {
				sel := mustSelect(t, s, session(fmt.Sprint(n)), candidates...)
				if sel.Target == "a" {
					home++
				}
				sel.Done(served)
			}
			return home
		}
		round("a")
		for range 10 {
			elapse(time.Minute)
			round("b")
		}
		round("a", "b")
		elapse(150 * time.Second)
		require.InDelta(t, 100, round("a", "b"), 45)
		elapse(time.Second)
		round("b") // a hiccup of all
		elapse(time.Second)
		require.InDelta(t, 100, round("a", "b"), 45)
		elapse(150 * time.Second)
		require.Equal(t, 200, round("a", "b"))
	})
}

// A client that uses two targets by turns (two models, say) has both as its
// places.
func TestTwoTargetsByTurns(t *testing.T) {
	t.Parallel()
	forAll(t, func(t *testing.T, s *affinity.Selector[string], ask func(...string) *affinity.Selection[string]) {
		for range 20 {
			require.Equal(t, "a", ask("a", "b").Target)
			require.Equal(t, "c", ask("c", "d").Target)
		}
		require.Contains(t, []string{"a", "c"}, ask("b", "d", "a", "c").Target)
	})
}

// No session is on more than two targets while those two are available,
// however its home flaps.
func TestFlappingTarget(t *testing.T) {
	t.Parallel()
	eachConversation(t, func(t *testing.T, p affinity.FailoverPolicy, turn func(n, i int) *extract.Request) {
		s := newSelector(t, affinity.Config[string]{Failover: p, Fallback: balance.Random[string]()})
		all := []string{"a", "b", "c", "d", "e"}
		var been [40]map[string]bool
		var last [40]string
		moves := 0
		for i := range 60 { // a is there for 10 s of every 20
			candidates := all
			if i%4 >= 2 {
				candidates = all[1:]
			}
			for n := range been {
				if been[n] == nil {
					been[n] = map[string]bool{}
				}
				sel := mustSelect(t, s, turn(n, i/5+1), candidates...)
				sel.Done(served)
				been[n][sel.Target] = true
				if i > 0 && sel.Target != last[n] {
					moves++
				}
				last[n] = sel.Target
			}
			elapse(5 * time.Second)
		}
		homes := 0
		for _, targets := range been {
			require.LessOrEqual(t, len(targets), 2)
			if targets["a"] {
				homes++
			} else {
				require.Len(t, targets, 1, "who is elsewhere is not concerned")
			}
		}
		if p == affinity.FailoverRebind {
			require.Equal(t, homes, moves, "who has left a stays away")
		} else {
			require.LessOrEqual(t, moves, 30*homes)
		}
	})
}

// What a derived session knows of its places is found by whatever its next turn
// leads back.
func TestPlacesOfAnAlias(t *testing.T) {
	t.Parallel()
	each(t, policies, func(t *testing.T, p affinity.FailoverPolicy) {
		x := new(scripted)
		s := newSelector(t, affinity.Config[string]{Failover: p, Extractor: x, Fallback: balance.FillFirst[string]()})
		i := 0
		ask := func(candidates ...string) string {
			i++
			x.now = extract.Session{Source: "x", ID: fmt.Sprint(i), Confidence: extract.Derived,
				Aliases: []string{fmt.Sprint("alias ", i)}, Continues: []string{fmt.Sprint("alias ", i-1)}}
			sel := mustSelect(t, s, new(extract.Request), candidates...)
			sel.Done(served)
			elapse(time.Second)
			return sel.Target
		}
		require.Equal(t, "a", ask("a"))
		require.Equal(t, "b", ask("b"))
		require.Equal(t, "b", ask("0", "b"))
		require.Equal(t, "b", ask("0", "b"))
		require.Equal(t, "a", ask("0", "a"))
		require.Equal(t, "a", ask("0", "a"))
		require.Equal(t, "b", ask("0", "b"))
	})
}

// Nor does its next turn go back to a detour that has failed for good.
func TestTerminalFailureOfADetour(t *testing.T) {
	t.Parallel()
	for _, continues := range []string{"alias 1", "1"} {
		synctest.Test(t, func(t *testing.T) {
			x := &scripted{now: extract.Session{Source: "x", ID: "1", Aliases: []string{"alias 1"}}}
			s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, Extractor: x, Fallback: balance.FillFirst[string]()})
			mustSelect(t, s, new(extract.Request), "a").Done(served)
			elapse(time.Second)
			mustSelect(t, s, new(extract.Request), "b").Done(affinity.Outcome{Result: affinity.TerminalFailure})
			require.Equal(t, map[string]int{"a": 2}, s.Counts())
			x.now = extract.Session{Source: "x", ID: "2", Continues: []string{continues}}
			require.Equal(t, "c", mustSelect(t, s, new(extract.Request), "c", "b").Target)
		})
	}
}

// Of two Selectors over one Cache that look for a detour at the same time one has its way,
// with what later turns find, too.
func TestOneDetourOfAnAlias(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := &scripted{now: extract.Session{Source: "x", ID: "1", Aliases: []string{"alias 1"}}}
		cfg := affinity.Config[string]{Failover: affinity.FailoverReturn, Extractor: x, Fallback: balance.FillFirst[string]()}
		rival := newSelector(t, cfg)
		mustSelect(t, rival, new(extract.Request), "a").Done(served)
		elapse(time.Second)
		cfg.Cache = rival.Cache()
		cfg.Fallback = affinity.PickerFunc[string](func(context.Context, *extract.Request, []string) (string, error) {
			mustSelect(t, rival, new(extract.Request), "b")
			return "c", nil
		})
		s := newSelector(t, cfg)
		require.Equal(t, "b", mustSelect(t, s, new(extract.Request), "b", "c").Target)
		x.now = extract.Session{Source: "x", ID: "2", Continues: []string{"alias 1"}}
		require.Equal(t, "b", mustSelect(t, s, new(extract.Request), "b", "c").Target)
	})
}

// Of two that place a session at the same time, the one that comes too late leaves alone what
// later turns find, which lives for as long as the other is under way.
func TestOneHomeOfAnAlias(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := &scripted{now: extract.Session{Source: "x", ID: "1", Aliases: []string{"alias"}}}
		cfg := affinity.Config[string]{Extractor: x, TTL: time.Hour, Fallback: balance.FillFirst[string]()}
		rival := newSelector(t, cfg)
		var first *affinity.Selection[string]
		cfg.Cache, cfg.TTL = rival.Cache(), 0
		cfg.Fallback = affinity.PickerFunc[string](func(context.Context, *extract.Request, []string) (string, error) {
			first = mustSelect(t, rival, new(extract.Request), "b")
			return "c", nil
		})
		late := mustSelect(t, newSelector(t, cfg), new(extract.Request), "b", "c")
		require.Equal(t, "b", late.Target)
		late.Done(affinity.Outcome{})
		elapse(40 * time.Minute)
		first.Done(served)
		elapse(40 * time.Minute)
		x.now = extract.Session{Source: "x", ID: "2", Continues: []string{"alias"}}
		require.Equal(t, "b", mustSelect(t, rival, new(extract.Request), "c", "b").Target)
	})
}

// A detour of which nothing came takes nothing from what another turn left there before.
func TestDetourOfAnAliasFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := new(scripted)
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, Extractor: x, Fallback: balance.FillFirst[string]()})
		ask := func(id string, continues []string, candidates ...string) *affinity.Selection[string] {
			elapse(time.Second)
			x.now = extract.Session{Source: "x", ID: id, Aliases: []string{"alias"}, Continues: continues}
			return mustSelect(t, s, new(extract.Request), candidates...)
		}
		ask("1", nil, "a").Done(served)
		ask("2", []string{"1"}, "b").Done(served)
		again := ask("1", nil, "b")
		require.Equal(t, affinity.ReasonFailover, again.Reason)
		again.Done(affinity.Outcome{Result: affinity.TransientFailure})
		require.Equal(t, "b", ask("3", []string{"alias"}, "c", "b").Target)
	})
}

// What is invalidated while the fallback looks for another target is no place to come
// back to.
func TestInvalidatedDuringAFailover(t *testing.T) {
	t.Parallel()
	for policy, p := range policies {
		for what, invalidate := range map[string]func(*affinity.Selector[string], affinity.Digest){
			"target":  func(s *affinity.Selector[string], _ affinity.Digest) { s.InvalidateTarget("a") },
			"session": func(s *affinity.Selector[string], d affinity.Digest) { s.InvalidateSession(d) },
			"request": func(s *affinity.Selector[string], _ affinity.Digest) { s.Invalidate(new(extract.Request)) },
		} {
			for turn := range 2 {
				t.Run(fmt.Sprint(policy, " ", what, " ", turn), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						x := &scripted{now: extract.Session{Source: "x", ID: "0", Aliases: []string{"alias 0"}}}
						s := newSelector(t, affinity.Config[string]{Failover: p, Extractor: x, Fallback: &slow{next: balance.FillFirst[string]()}})
						first := mustSelect(t, s, new(extract.Request), "a")
						first.Done(served)
						x.now = extract.Session{Source: "x", ID: fmt.Sprint(turn), Aliases: []string{fmt.Sprint("alias ", turn)}, Continues: []string{"0", "alias 0"}}
						go func() {
							elapse(time.Millisecond / 2)
							invalidate(s, first.Session)
						}()
						sel := mustSelect(t, s, new(extract.Request), "b", "c")
						require.Equal(t, "b", sel.Target)
						require.Equal(t, affinity.ReasonFailover, sel.Reason)
						for _, b := range s.Cache().All() {
							require.Equal(t, "b", b.Target)
							require.False(t, b.Aside)
						}
						sel.Done(served)
						elapse(time.Second)
						require.Equal(t, "c", mustSelect(t, s, new(extract.Request), "c", "a").Target)
					})
				})
			}
		}
	}
}

// Nor does a session that would leave its home for others' sake stay there then.
func TestInvalidatedDuringAnOverload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newAuditor(t)
		x := &scripted{now: extract.Session{Source: "x", ID: "1", Confidence: extract.Derived}}
		s := newSelector(t, affinity.Config[string]{Extractor: x, Fallback: b})
		mustSelect(t, s, new(extract.Request), "a").Done(served)
		b.overloaded["a"], b.overloaded["b"], b.wait = true, true, time.Second
		go func() {
			elapse(time.Second / 2)
			s.InvalidateTarget("a")
		}()
		require.Equal(t, "b", mustSelect(t, s, new(extract.Request), "a", "b").Target)
		require.Equal(t, map[string]int{"b": 1}, s.Counts())
	})
}

// What is invalidated while it is decided where a session goes does not come back as its second
// place, nor is it what holds the session's state.
func TestInvalidatedMeanwhile(t *testing.T) {
	t.Parallel()
	const lookingUp, deciding = 6, 9 // calls of Config.ID
	for calls := range deciding {
		for id, want := range map[string]string{"resp_b": "b", "resp_unknown": "c"} {
			synctest.Test(t, func(t *testing.T) {
				left := -1
				var s *affinity.Selector[string]
				s = newSelector(t, affinity.Config[string]{FailPinned: id == "resp_unknown", Fallback: balance.FillFirst[string](), ID: func(target string) string {
					if left--; left == 0 {
						s.InvalidateTarget("a")
					}
					return target
				}})
				holder := mustSelect(t, s, session("other"), "b")
				holder.Learn("resp_b")
				holder.Done(served)
				mustSelect(t, s, session("s"), "a").Done(served)
				elapse(time.Second)
				req := session("s")
				req.Body = []byte(`{"previous_response_id":"` + id + `"}`)
				left = 1 + calls
				sel, err := s.Select(t.Context(), req, []string{"c", "b"})
				if calls < lookingUp {
					require.NoError(t, err, calls)
					require.Empty(t, sel.From, calls)
				}
				require.True(t, err != nil || sel.Target == want, calls)
				for _, b := range s.Cache().All() {
					require.NotEqual(t, "a", b.Target, calls)
				}
			})
		}
	}
}

// Nor does it come back where that is decided already: up to the write, nothing of what is
// invalidated is stored anew.
func TestInvalidatedUpToTheWrite(t *testing.T) {
	t.Parallel()
	for name, invalidate := range map[string]func(s *affinity.Selector[string]){
		"target":  func(s *affinity.Selector[string]) { s.InvalidateTarget("a") },
		"session": func(s *affinity.Selector[string]) { s.Invalidate(session("s")) },
	} {
		for _, failover := range []affinity.FailoverPolicy{affinity.FailoverRebind, affinity.FailoverReturn} {
			for calls := 1; ; calls++ {
				over := false
				synctest.Test(t, func(t *testing.T) {
					left := -1
					var s *affinity.Selector[string]
					s = newSelector(t, affinity.Config[string]{Failover: failover, Fallback: balance.FillFirst[string](), ID: func(target string) string {
						if left--; left == 0 {
							invalidate(s)
						}
						return target
					}})
					mustSelect(t, s, session("s"), "a").Done(served)
					elapse(time.Second)
					left = calls
					_, err := s.Select(t.Context(), session("s"), []string{"b", "c"})
					require.NoError(t, err)
					if over = left > 0; over {
						return
					}
					for _, b := range s.Cache().All() {
						require.NotEqual(t, "a", b.Target, "%s invalidated at call %d, %v", name, calls, b)
					}
				})
				if over {
					require.Greater(t, calls, 5, "there were calls at which it was invalidated")
					break
				}
			}
		}
	}
}

// Nor while the Balancer is told of it.
func TestInvalidatedWhileItIsCharged(t *testing.T) {
	t.Parallel()
	b := &invalidator{auditor: newAuditor(t)}
	s := newSelector(t, affinity.Config[string]{Fallback: b})
	mustSelect(t, s, session("s"), "a")
	mustSelect(t, s, session("s"), "b")
	b.invalidate = func() { s.Invalidate(session("s")) }
	require.Equal(t, "a", mustSelect(t, s, session("s"), "a").Target)
	for _, b := range s.Cache().All() {
		require.Equal(t, "a", b.Target)
	}
}

// An invalidator is an auditor that invalidates something when it is told of a request.
type invalidator struct {
	*auditor
	invalidate func()
}

func (b *invalidator) Charge(req *extract.Request, id string, warm bool) affinity.Ticket {
	b.invalidate()
	return b.auditor.Charge(req, id, warm)
}

// A thread has not been where its session was before.
func TestThreadsHaveNoSecondPlaceAtFirst(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{Fallback: balance.FillFirst[string]()})
	for _, target := range []string{"a", "b"} {
		mustSelect(t, s, claudeAgent("s1", "", ""), target)
	}
	require.Equal(t, affinity.ReasonInherited, mustSelect(t, s, claudeAgent("s1", "a1", ""), "a", "b").Reason)
	require.Equal(t, "c", mustSelect(t, s, claudeAgent("s1", "a1", ""), "c", "a").Target)
	require.Equal(t, "a", mustSelect(t, s, claudeAgent("s1", "", ""), "c", "a").Target)

	// Nor where its session is, if that was out of its reach.
	mustSelect(t, s, claudeAgent("s2", "", ""), "a")
	mustSelect(t, s, claudeAgent("s2", "", ""), "b")
	require.Equal(t, "a", mustSelect(t, s, claudeAgent("s2", "a1", ""), "0", "a").Target, "its session was there before")
	require.Equal(t, "0", mustSelect(t, s, claudeAgent("s2", "a1", ""), "0", "b").Target)
}

// A thread that starts while its session is away starts at the detour, and a
// session that is home takes nobody along.
func TestThreadsStartAtTheDetour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, Fallback: balance.FillFirst[string]()})
		mustSelect(t, s, claudeAgent("s1", "", ""), "a").Done(served)
		elapse(time.Second)
		mustSelect(t, s, claudeAgent("s1", "", ""), "b").Done(served)
		elapse(time.Second)
		thread := mustSelect(t, s, claudeAgent("s1", "agent-1", ""), "0", "b")
		require.Equal(t, "b", thread.Target)
		require.Equal(t, affinity.ReasonFailover, thread.Reason)
		thread.Done(served)
		elapse(time.Second)
		require.Equal(t, "a", mustSelect(t, s, claudeAgent("s1", "", ""), "a", "b").Target)
		require.Equal(t, "b", mustSelect(t, s, claudeAgent("s1", "agent-1", ""), "a", "b").Target, "it has no other home")
	})
}

// While sessions come back to their home one by one, what they start, and conversations that
// have lost their beginning, start where each is at the time: at the detour, until it is back.
func TestStartsDuringFailBack(t *testing.T) {
	t.Parallel()
	each(t, map[string]func(x *scripted, n int){
		"a thread":  func(x *scripted, n int) { x.now.Thread = "agent" },
		"a child":   func(x *scripted, n int) { x.now.ID, x.now.Parent = fmt.Sprint("child ", n), x.now.ID },
		"a history": func(x *scripted, n int) { x.now.ID, x.now.Near = fmt.Sprint("cut ", n), []string{x.now.ID} },
	}, func(t *testing.T, start func(x *scripted, n int)) {
		x := new(scripted)
		s := newSelector(t, affinity.Config[string]{Extractor: x, Failover: affinity.FailoverReturn, Fallback: balance.FillFirst[string]()})
		ask := func(n int, starts bool, candidates ...string) *affinity.Selection[string] {
			x.now = extract.Session{Source: "x", ID: fmt.Sprint(n), Confidence: extract.Derived}
			if starts {
				start(x, n)
			}
			sel := mustSelect(t, s, new(extract.Request), candidates...)
			sel.Done(served)
			elapse(1) // so short that nobody comes back meanwhile
			return sel
		}
		const sessions = 50
		for n := range sessions {
			ask(n, false, "a")
		}
		for range 6 {
			elapse(time.Minute)
			for n := range sessions {
				ask(n, false, "b")
			}
		}
		ask(0, false, "0", "a", "b") // a is there again
		elapse(150 * time.Second)
		at := map[string]int{}
		for n := range sessions {
			first := ask(n, true, "0", "a", "b")
			at[first.Target]++
			require.Equal(t, affinity.ReasonInherited, first.Reason)
			require.Equal(t, ask(n, false, "0", "a", "b").Target, first.Target)
			require.Equal(t, first.Target, ask(n, true, "0", "a", "b").Target, "it is at home there")
		}
		require.InDelta(t, sessions/2, at["a"], sessions*2/5, "as their keys fall")
		require.Equal(t, sessions, at["a"]+at["b"])
	})
}

// What starts where a session is that has a home at a and is on a detour at b starts at the one
// where the session would go now, unless that has more than its share: see TestOverloadedNeighbours.
func TestStartsBetweenTwoPlaces(t *testing.T) {
	t.Parallel()
	const gone, waiting, due = "a is gone", "a has just come back", "it is time to go back to a"
	const lost, back = "a has just come back, and b is gone", "it has gone back to a"
	for _, test := range []struct {
		when, overloaded     string
		near, beside, others string // where a neighbour starts, its side calls, and what has an id
	}{
		{gone, "", "b", "b", "b"},
		{gone, "b", "c", "b", "b"},
		{waiting, "", "b", "b", "b"},
		{waiting, "a", "b", "b", "b"},
		{waiting, "b", "c", "b", "b"},
		{waiting, "ab", "c", "b", "b"},
		{due, "", "a", "a", "a"},
		{due, "a", "b", "b", "a"},
		{due, "b", "a", "a", "a"},
		{due, "ab", "c", "b", "a"},
		{lost, "", "a", "a", "a"},
		{back, "", "a", "a", "a"},
		{back, "a", "c", "a", "a"},
	} {
		each(t, map[string][]string{
			test.when + ", overloaded: " + test.overloaded:                   {"a", "b", "c"},
			test.when + ", in another order, overloaded: " + test.overloaded: {"b", "a", "c"},
		}, func(t *testing.T, candidates []string) {
			x, b := new(scripted), newAuditor(t)
			b.prefer = "c"
			s := newSelector(t, affinity.Config[string]{Extractor: x, Failover: affinity.FailoverReturn, Fallback: b})
			ask := func(sess extract.Session, candidates ...string) *affinity.Selection[string] {
				x.now, x.now.Source = sess, "x"
				sel := mustSelect(t, s, new(extract.Request), candidates...)
				sel.Done(served)
				elapse(1) // so short that nobody comes back meanwhile
				return sel
			}
			neighbour := extract.Session{ID: "1", Confidence: extract.Derived}
			ask(neighbour, "a")
			for range 6 {
				elapse(time.Minute)
				ask(neighbour, "b")
			}
			if test.when == gone {
				candidates = []string{"b", "c"}
			} else {
				require.Equal(t, "b", ask(neighbour, candidates...).Target) // from now on, a is there
			}
			switch test.when {
			case due:
				elapse(5 * time.Minute)
			case lost:
				candidates = []string{"a", "c"}
			case back:
				elapse(5 * time.Minute)
				require.Equal(t, "a", ask(neighbour, candidates...).Target)
			}
			b.overload(strings.Split(test.overloaded, "")...)
			near := extract.Session{Confidence: extract.Derived, Near: []string{"1"}}
			near.ID = "2"
			require.Equal(t, test.near, ask(near, candidates...).Target)
			near.ID, near.Class = "3", extract.Auxiliary
			require.Equal(t, test.beside, ask(near, candidates...).Target)
			require.Equal(t, test.others, ask(extract.Session{ID: "4", Parent: "1"}, candidates...).Target)
			require.Equal(t, test.others, ask(extract.Session{ID: "1", Thread: "agent"}, candidates...).Target)
		})
	}
}

// The same if they are the first to come after the outage.
func TestStartsAreTheFirstToFindTheHome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, Fallback: balance.FillFirst[string]()})
		mustSelect(t, s, claudeAgent("s1", "", ""), "a").Done(served)
		for range 6 {
			elapse(time.Minute)
			mustSelect(t, s, claudeAgent("s1", "", ""), "b").Done(served)
		}
		elapse(time.Minute)
		require.Equal(t, "b", mustSelect(t, s, claudeAgent("s1", "agent-1", ""), "a", "b").Target)
		elapse(5 * time.Minute)
		require.Equal(t, "a", mustSelect(t, s, claudeAgent("s1", "agent-2", ""), "a", "b").Target, "it is time")
	})
}

// Where the home is gone for good, what starts does so at the detour, which the session would make
// its home with its next turn.
func TestStartsWhereTheHomeWasGivenUp(t *testing.T) {
	t.Parallel()
	each(t, map[string]func(x *scripted){
		"a thread":  func(x *scripted) { x.now.Thread = "agent" },
		"a child":   func(x *scripted) { x.now.ID, x.now.Parent = "2", "1" },
		"a history": func(x *scripted) { x.now.ID, x.now.Near = "2", []string{"1"} },
	}, func(t *testing.T, start func(x *scripted)) {
		x := &scripted{now: extract.Session{Source: "x", ID: "1"}}
		s := newSelector(t, affinity.Config[string]{Extractor: x, Failover: affinity.FailoverReturn, Fallback: balance.FillFirst[string]()})
		ask := func(candidates ...string) *affinity.Selection[string] {
			defer elapse(time.Minute)
			return mustSelect(t, s, new(extract.Request), candidates...)
		}
		ask("a").Done(served)
		ask("b").Done(served)
		s.InvalidateTarget("a")
		start(x)
		sel := ask("0", "b")
		require.Equal(t, "b", sel.Target)
		require.Equal(t, affinity.ReasonInherited, sel.Reason)
		x.now = extract.Session{Source: "x", ID: "1"}
		require.Equal(t, affinity.ReasonBound, ask("0", "b").Reason)
	})
}

// A side call goes where its conversation is, also when that is a detour.
func TestSideCallsFollowTheDetour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := new(scripted)
		s := newSelector(t, affinity.Config[string]{Extractor: x, Failover: affinity.FailoverReturn, Fallback: balance.FillFirst[string]()})
		ask := func(n int, side bool, candidates ...string) *affinity.Selection[string] {
			x.now = extract.Session{Source: "x", ID: fmt.Sprint(n), Confidence: extract.Derived}
			if side {
				x.now.ID, x.now.Continues, x.now.Class = fmt.Sprint("side ", n), []string{fmt.Sprint(n)}, extract.Compaction
			}
			sel := mustSelect(t, s, new(extract.Request), candidates...)
			sel.Done(served)
			return sel
		}
		for n := range 50 {
			ask(n, false, "a")
		}
		for range 6 {
			elapse(time.Minute)
			for n := range 50 {
				ask(n, false, "b")
				require.Equal(t, "b", ask(n, true, "0", "b").Target)
			}
		}
		away := 0
		for range 2 {
			elapse(2 * time.Minute)
			for n := range 50 {
				turn := ask(n, false, "a", "b")
				elapse(time.Millisecond)
				require.Equal(t, turn.Target, ask(n, true, "a", "b").Target)
				if turn.Target == "b" {
					away++
				}
			}
		}
		require.NotZero(t, away)
	})
}

// State on a target goes before the home, on a detour too.
func TestStateOnADetour(t *testing.T) {
	t.Parallel()
	withState := func(n int, state string) *extract.Request {
		req := session(fmt.Sprint(n))
		req.Body = []byte(`{"input":"x","previous_response_id":"` + state + `"}`)
		return req
	}
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, FailPinned: true, Fallback: balance.FillFirst[string]()})
		for n := range 40 {
			sel := mustSelect(t, s, session(fmt.Sprint(n)), "a")
			sel.Learn(fmt.Sprint("at_a_", n))
			sel.Done(served)
		}
		for range 6 {
			elapse(time.Minute)
			for n := range 40 {
				sel := mustSelect(t, s, session(fmt.Sprint(n)), "b")
				sel.Learn(fmt.Sprint("at_b_", n))
				sel.Done(served)
				_, err := s.Select(t.Context(), withState(n, fmt.Sprint("at_a_", n)), []string{"b"})
				var pinned *affinity.PinnedError
				require.ErrorAs(t, err, &pinned)
				require.Equal(t, "a", pinned.Target)
				there := mustSelect(t, s, withState(n, fmt.Sprint("at_b_", n)), "0", "b")
				require.Equal(t, "b", there.Target)
				require.Equal(t, affinity.ReasonDetour, there.Reason)
				there.Done(served)
			}
		}
		mustSelect(t, s, session("0"), "a", "b").Done(served) // a is back
		elapse(time.Second)
		for n := 1; n < 40; n++ {
			state, want, from := fmt.Sprint("at_a_", n), "a", "b"
			if n%2 == 0 {
				state, want = fmt.Sprint("at_b_", n), "b"
			}
			sel := mustSelect(t, s, withState(n, state), "0", "a", "b")
			require.Equal(t, want, sel.Target)
			if want == "a" {
				require.Equal(t, from, sel.From, "that is what it leaves")
			}
			sel.Done(served)
			elapse(time.Millisecond)
			require.Equal(t, want, mustSelect(t, s, withState(n, state), "0", "a", "b").Target)
		}
	})
}

// State decides where a session fails over to, whatever the fallback says and
// wherever its target stands; a thread that starts where state is has not moved.
func TestStateAndFailover(t *testing.T) {
	t.Parallel()
	for policy, p := range policies {
		for _, candidates := range [][]string{{"b", "c"}, {"c", "b"}} {
			t.Run(fmt.Sprint(policy, " ", candidates), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := newSelector(t, affinity.Config[string]{Failover: p, Fallback: always("c")})
					others := newSelector(t, affinity.Config[string]{Cache: s.Cache(), Fallback: balance.FillFirst[string]()})
					mustSelect(t, others, session("maker"), "b").Learn("resp_1")
					mustSelect(t, others, session("s"), "a").Done(served)
					mustSelect(t, others, claudeAgent("s1", "", ""), "a").Done(served)
					elapse(time.Second)
					with := func(req *extract.Request) *extract.Request {
						req.Body = []byte(`{"input":"x","previous_response_id":"resp_1"}`)
						return req
					}
					sel := mustSelect(t, s, with(session("s")), candidates...)
					require.Equal(t, "b", sel.Target)
					if sel.Reason == affinity.ReasonPinned {
						require.Equal(t, "a", sel.From)
					}
					thread := mustSelect(t, s, with(claudeAgent("s1", "agent-1", "")), "a", "b", "c")
					require.Equal(t, "b", thread.Target)
					require.Equal(t, affinity.ReasonPinned, thread.Reason)
					require.Empty(t, thread.From)
				})
			})
		}
	}
}

// A terminal failure where a session has fled to sends it back, not on.
func TestTerminalFailureOfTheRefuge(t *testing.T) {
	t.Parallel()
	forAll(t, func(t *testing.T, s *affinity.Selector[string], ask func(...string) *affinity.Selection[string]) {
		ask("a")
		for _, req := range []*extract.Request{session("1"), claudeAgent("s1", "agent-1", ""), chatTurn(1, 2)} {
			if _, ok := s.Peek(req); ok {
				sel := mustSelect(t, s, req, "b")
				sel.Done(affinity.Outcome{Result: affinity.TerminalFailure})
				elapse(time.Second)
				require.Equal(t, "a", mustSelect(t, s, req, "0", "b", "a").Target)
			}
		}
	})
}

// What has failed for good is nowhere remembered as a place to go.
func TestTerminalFailureAfterAPromotion(t *testing.T) {
	t.Parallel()
	terminal := affinity.Outcome{Result: affinity.TerminalFailure}
	each(t, policies, func(t *testing.T, p affinity.FailoverPolicy) {
		s := newSelector(t, affinity.Config[string]{Failover: p, TTL: 10 * time.Minute, Fallback: balance.FillFirst[string]()})
		ask := func(o affinity.Outcome, candidates ...string) *affinity.Selection[string] {
			sel := mustSelect(t, s, session("s"), candidates...)
			sel.Done(o)
			elapse(time.Second)
			return sel
		}
		ask(served, "a")
		if p == affinity.FailoverRebind {
			ask(served, "b")
			ask(served, "a")
			ask(terminal, "a")
		}
		for range 12 {
			require.Equal(t, "b", ask(served, "b").Target)
			if p == affinity.FailoverReturn {
				elapse(time.Minute)
			}
		}
		require.Equal(t, "b", ask(terminal, "c", "b").Target, "the home by now")
		sel := ask(served, "c", "b")
		require.Equal(t, affinity.ReasonNew, sel.Reason)
		require.Equal(t, "c", sel.Target)
	})

	// Nor is it where a stream that began on the detour says so.
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, Fallback: balance.FillFirst[string]()})
		stream := streamOnADetour(t, s)
		s.Drain("a", time.Time{})
		elapse(time.Second)
		sel := mustSelect(t, s, session("s"), "a", "b")
		require.Equal(t, []any{"b", affinity.ReasonDetour}, []any{sel.Target, sel.Reason})
		require.Equal(t, "b", mustPeek(t, s, session("s")).Target, "it is the home now")
		stream.Done(terminal)
		require.Equal(t, affinity.ReasonNew, mustSelect(t, s, session("s"), "c", "b").Reason)
	})
}

// A late success of a request whose session has moved since makes no binding live longer, that of
// the turn before included.
func TestLateSuccessAfterAMove(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{TTL: time.Hour})
		mustSelect(t, s, chatTurn(1, 1), "a").Done(served)
		elapse(10 * time.Minute)
		late := mustSelect(t, s, chatTurn(1, 2), "a")
		elapse(time.Minute)
		mustSelect(t, s, chatTurn(1, 2), "b").Done(served)
		elapse(39 * time.Minute)
		require.Equal(t, "a", mustPeek(t, s, chatTurn(1, 1)).Target)
		late.Done(served)
		elapse(11 * time.Minute)
		_, ok := s.Peek(chatTurn(1, 1))
		require.False(t, ok, "the first turn's was used an hour ago")
	})
}

// A stream that began on a detour keeps the session there, also once that is the home.
func TestStreamOfADetourThatIsTheHome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, TTL: 10 * time.Minute, Fallback: balance.FillFirst[string]()})
		stream := streamOnADetour(t, s)
		s.Drain("a", time.Time{})
		elapse(time.Second)
		mustSelect(t, s, session("s"), "a", "b").Done(served)
		require.Equal(t, "b", mustPeek(t, s, session("s")).Target, "it is the home now")
		elapse(30 * time.Minute)
		require.Equal(t, "b", mustSelect(t, s, session("s"), "0", "b").Target)
		stream.Done(served)
	})
}

// While its home has more than its share, a session that would have to leave it again does not
// return.
func TestReturnToAnOverloadedHome(t *testing.T) {
	t.Parallel()
	for confidence, reason := range map[extract.Confidence]affinity.Reason{extract.Derived: affinity.ReasonDetour, extract.Explicit: affinity.ReasonReturned} {
		for _, own := range []bool{true, false} { // or it goes on from an earlier turn
			t.Run(fmt.Sprint(confidence, own), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					x := &scripted{now: extract.Session{Source: "x", ID: "1", Confidence: confidence}}
					b := newAuditor(t)
					s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, Extractor: x, Fallback: b})
					ask := func(candidates ...string) affinity.Reason {
						elapse(time.Minute)
						x.now.Class = extract.Auxiliary
						beside := mustSelect(t, s, new(extract.Request), candidates...)
						x.now.Class = extract.Turn
						sel := mustSelect(t, s, new(extract.Request), candidates...)
						require.True(t, beside.Reason == affinity.ReasonSideCall || beside.ID == sel.ID)
						sel.Done(served)
						return sel.Reason
					}
					ask("a")
					ask("b")
					if b.overload("a"); !own {
						x.now.ID, x.now.Continues = "2", []string{"1"}
					}
					require.Equal(t, reason, ask("a", "b"))
					b.overload()
					if reason == affinity.ReasonDetour {
						require.Equal(t, reason, ask("b"))
						require.Equal(t, affinity.ReasonReturned, ask("a", "b"))
					}
					require.Equal(t, affinity.ReasonBound, ask("a", "b"))
				})
			})
		}
	}
}

// Requests of one session of which each asks the fallback, since the first that did has failed,
// go to one target, also where one of the answers is where the session was before.
func TestAnswersAtOnce(t *testing.T) {
	t.Parallel()
	type request struct {
		after      time.Duration
		candidates []string
	}
	const slow = 40 * time.Second // longer than an overloaded target waits until it lets another session go
	play := func(t *testing.T, s *affinity.Selector[string], b *auditor, requests ...request) {
		elapse(time.Minute)
		b.err, b.wait = errors.New("no"), slow
		var targets [2]string
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := s.Select(t.Context(), new(extract.Request), requests[0].candidates)
			assert.Error(t, err)
			b.failWith(nil)
		})
		for i, r := range requests {
			wg.Go(func() {
				elapse(r.after)
				targets[i] = mustSelect(t, s, new(extract.Request), r.candidates...).Target
			})
		}
		wg.Wait()
		require.Equal(t, targets[0], targets[1])
		home := mustSelect(t, s, new(extract.Request), requests[0].candidates...)
		require.Equal(t, targets[0], home.Target)
	}
	detours := func(t *testing.T, first, second []string) {
		synctest.Test(t, func(t *testing.T) {
			b := newAuditor(t)
			s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, Fallback: b, Extractor: &scripted{now: extract.Session{Source: "x", ID: "1"}}})
			for _, target := range []string{"home", "a", "home"} {
				mustSelect(t, s, new(extract.Request), target).Done(served)
				elapse(time.Second)
			}
			s.Drain("a", time.Time{})
			s.Drain("b", time.Time{})
			play(t, s, b, request{time.Second, first}, request{slow + time.Second, second})
		})
	}
	t.Run("a detour that was left", func(t *testing.T) {
		t.Parallel()
		detours(t, []string{"b", "a"}, []string{"a", "b"})
	})
	t.Run("a detour that was taken", func(t *testing.T) {
		t.Parallel()
		detours(t, []string{"a", "b"}, []string{"b", "a"})
	})
	t.Run("a detour that is new", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b := newAuditor(t)
			s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, Fallback: b, Extractor: &scripted{now: extract.Session{Source: "x", ID: "1"}}})
			mustSelect(t, s, new(extract.Request), "home").Done(served)
			play(t, s, b, request{time.Second, []string{"a"}}, request{slow - time.Second, []string{"a"}})
			reasons := s.Stats().Selected
			require.EqualValues(t, 1, reasons[affinity.ReasonFailover])
			require.EqualValues(t, 2, reasons[affinity.ReasonDetour], "the other one, and what came after")
		})
	})
	t.Run("a home that was left", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b := newAuditor(t)
			s := newSelector(t, affinity.Config[string]{Fallback: b, Extractor: &scripted{now: extract.Session{Source: "x", ID: "1", Confidence: extract.Derived}}})
			mustSelect(t, s, new(extract.Request), "a").Done(served)
			b.overload("a", "b")
			play(t, s, b, request{slow - time.Second, []string{"a", "c", "b"}}, request{slow + 31*time.Second, []string{"a", "b", "c"}})
		})
	})
}

// A stream on the detour that ends after the session has returned changes
// nothing any more.
func TestDetourEndsLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn})
		ask := func(candidates ...string) *affinity.Selection[string] {
			sel := mustSelect(t, s, session("s"), candidates...)
			elapse(time.Second)
			return sel
		}
		mustSelect(t, s, session("s"), "a").Done(served)
		elapse(time.Second)
		away := ask("b")
		require.Equal(t, affinity.ReasonReturned, ask("a", "b").Reason)
		away.Done(served)
		elapse(time.Second)
		sel := ask("a", "b")
		require.Equal(t, "a", sel.Target)
		require.Equal(t, affinity.ReasonBound, sel.Reason)
	})
}

// A stream at home that ends after others were on the detour has the session at home again.
func TestStreamAtHomeEndsLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn})
		for n := range 20 {
			stream := mustSelect(t, s, session(fmt.Sprint(n)), "a")
			elapse(time.Second)
			mustSelect(t, s, session(fmt.Sprint(n)), "b").Done(served)
			elapse(time.Second)
			stream.Done(served)
			require.Equal(t, affinity.ReasonBound, mustSelect(t, s, session(fmt.Sprint(n)), "b", "a").Reason)
		}
	})
}

// Nothing half-made stays behind when the fallback fails.
func TestFailedFailover(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	eachConversation(t, func(t *testing.T, p affinity.FailoverPolicy, turn func(n, i int) *extract.Request) {
		fail := false
		s := newSelector(t, affinity.Config[string]{Failover: p, Fallback: affinity.PickerFunc[string](
			func(_ context.Context, _ *extract.Request, candidates []string) (string, error) {
				if fail {
					return "", boom
				}
				return candidates[0], nil
			})})
		mustSelect(t, s, turn(1, 1), "a").Done(served)
		elapse(time.Second)
		n, before := s.Cache().Len(), mustPeek(t, s, turn(1, 2))
		fail = true
		_, err := s.Select(t.Context(), turn(1, 2), []string{"b"})
		require.ErrorIs(t, err, boom)
		require.Equal(t, n, s.Cache().Len())
		require.Equal(t, before, mustPeek(t, s, turn(1, 2)))
		require.Equal(t, "a", mustSelect(t, s, turn(1, 2), "a", "b").Target)
	})
}

// Of concurrent requests of a session whose home has gone, all go to one place.
func TestConcurrentFailover(t *testing.T) {
	t.Parallel()
	each(t, policies, func(t *testing.T, p affinity.FailoverPolicy) {
		s := newSelector(t, affinity.Config[string]{Failover: p, Fallback: affinity.PickerFunc[string](
			func(_ context.Context, _ *extract.Request, candidates []string) (string, error) {
				elapse(time.Millisecond)
				return candidates[rand.IntN(len(candidates))], nil
			})})
		for n := range 50 {
			mustSelect(t, s, session(fmt.Sprint(n)), "a").Done(served)
			elapse(time.Second)
			var mu sync.Mutex
			places := map[string]int{}
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() {
					sel, err := s.Select(t.Context(), session(fmt.Sprint(n)), []string{"b", "c", "d", "e"})
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					places[sel.Target]++
					mu.Unlock()
					sel.Done(served)
				})
			}
			wg.Wait()
			require.Len(t, places, 1)
		}
		require.EqualValues(t, 50, s.Stats().Selected[affinity.ReasonNew])
		require.EqualValues(t, 50, s.Stats().Selected[affinity.ReasonFailover], "one of them has failed over, the others followed")
	})
}

// Of two that place one session at once, because the first one failed, the
// later goes where the earlier went, and says so.
func TestLostRace(t *testing.T) {
	t.Parallel()
	each(t, policies, func(t *testing.T, p affinity.FailoverPolicy) {
		var mu sync.Mutex
		calls, gate := 0, make(chan struct{})
		s := newSelector(t, affinity.Config[string]{Failover: p, Fallback: affinity.PickerFunc[string](
			func(_ context.Context, _ *extract.Request, candidates []string) (string, error) {
				mu.Lock()
				calls++
				call := calls
				mu.Unlock()
				switch call {
				case 1:
					return "a", nil
				case 2:
					<-gate
					return "", errors.New("boom")
				case 3:
					elapse(time.Second)
					return "b", nil
				}
				elapse(2 * time.Second)
				return "c", nil
			})})
		mustSelect(t, s, session("s"), "a").Done(served)
		elapse(time.Second)
		decisions := make(chan affinity.Decision, 3)
		for range 3 {
			go func() {
				sel, _ := s.Select(t.Context(), session("s"), []string{"b", "c"})
				decisions <- sel.Decision
			}()
		}
		synctest.Wait()
		close(gate)
		reasons := map[affinity.Reason]int{}
		for range 3 {
			d := <-decisions
			reasons[d.Reason]++
			if d.ID == "" {
				continue
			}
			require.Equal(t, "b", d.ID)
			if p == affinity.FailoverReturn || d.Reason == affinity.ReasonFailover {
				require.Equal(t, "a", d.From)
			}
		}
		later := map[affinity.FailoverPolicy]affinity.Reason{affinity.FailoverRebind: affinity.ReasonBound, affinity.FailoverReturn: affinity.ReasonDetour}
		require.Equal(t, map[affinity.Reason]int{0: 1, affinity.ReasonFailover: 1, later[p]: 1}, reasons)
	})
}

// Selectors that share a Cache share what is known of its sessions, whatever
// their policies.
func TestFailoverWithASharedCache(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cache := newCache(t, affinity.CacheConfig{})
		one := newSelector(t, affinity.Config[string]{Cache: cache, Failover: affinity.FailoverReturn, Fallback: balance.FillFirst[string]()})
		two := newSelector(t, affinity.Config[string]{Cache: cache, Failover: affinity.FailoverReturn, Fallback: balance.FillFirst[string]()})
		rebind := newSelector(t, affinity.Config[string]{Cache: cache, Fallback: balance.FillFirst[string]()})
		ask := func(s *affinity.Selector[string], candidates ...string) *affinity.Selection[string] {
			sel := mustSelect(t, s, session("s"), candidates...)
			sel.Done(served)
			elapse(time.Second)
			return sel
		}
		ask(one, "a")
		require.Equal(t, "b", ask(two, "b").Target)
		require.Equal(t, "b", ask(one, "0", "b").Target)
		ask(two, "0", "b", "a")
		elapse(2 * time.Second) // that it was away for
		require.Equal(t, affinity.ReasonReturned, ask(two, "0", "b", "a").Reason)
		require.Equal(t, "b", ask(rebind, "0", "b").Target, "where it was before")
		require.Equal(t, "b", ask(rebind, "a", "b").Target)
		require.Equal(t, "b", ask(one, "a", "b").Target, "that is its home now")
		require.Equal(t, "a", ask(one, "0", "a").Target)
		require.Equal(t, "b", ask(two, "a", "b").Target)
	})
}

func TestFailoverWithANestedSelector(t *testing.T) {
	t.Parallel()
	each(t, policies, func(t *testing.T, p affinity.FailoverPolicy) {
		// All sessions of a user have one home, and one refuge.
		user := newSelector(t, affinity.Config[string]{Extractor: extract.Header("X-User"), Failover: p, Fallback: balance.Random[string]()})
		s := newSelector(t, affinity.Config[string]{Fallback: user, Failover: p})
		ask := func(n int, candidates ...string) string {
			req := session(fmt.Sprint(n))
			req.Header.Set("X-User", "someone")
			sel := mustSelect(t, s, req, candidates...)
			sel.Done(served)
			elapse(time.Second)
			return sel.Target
		}
		home := ask(0, "a", "b", "c", "d")
		for n := range 20 {
			require.Equal(t, home, ask(n, "a", "b", "c", "d"))
		}
		left := slices.DeleteFunc([]string{"a", "b", "c", "d"}, func(x string) bool { return x == home })
		refuge := ask(0, left...)
		for n := range 20 {
			require.Equal(t, refuge, ask(n, left...))
		}
	})
}

// InvalidateTarget forgets the detours to the target as well as the homes.
func TestInvalidateTargetOfADetour(t *testing.T) {
	t.Parallel()
	forAll(t, func(t *testing.T, s *affinity.Selector[string], ask func(...string) *affinity.Selection[string]) {
		ask("a")
		ask("b")
		s.InvalidateTarget("a")
		require.Equal(t, "b", ask("0", "b", "a").Target)
		s.InvalidateTarget("b")
		sel := ask("0", "a", "b")
		require.Equal(t, "0", sel.Target)
		require.Equal(t, affinity.ReasonNew, sel.Reason)
	})
}

// A session that has moved goes on where it was before, if its home is invalidated.
func TestInvalidateTargetOfASessionThatHasMoved(t *testing.T) {
	t.Parallel()
	build := func() *affinity.Selector[string] {
		s := newSelector(t, affinity.Config[string]{Fallback: balance.FillFirst[string]()})
		mustSelect(t, s, session("s"), "a")
		mustSelect(t, s, session("s"), "b")
		s.InvalidateTarget("b")
		return s
	}
	require.Equal(t, "a", mustSelect(t, build(), session("s"), "c", "a").Target)
	s := build()
	require.True(t, s.Invalidate(session("s")), "there was a second place")
	require.False(t, s.Invalidate(session("s")))
	require.Equal(t, "c", mustSelect(t, s, session("s"), "c", "a").Target)
}

// A side call says where it goes and why as a turn would.
func TestReasonOfSideCalls(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{Fallback: balance.FillFirst[string]()})
	side := &extract.Request{Header: session("s").Header, Method: "POST", Path: "/v1/messages/count_tokens"}
	mustSelect(t, s, session("s"), "a")
	mustSelect(t, s, session("s"), "b")
	sel := mustSelect(t, s, side, "c", "a")
	require.Equal(t, "a", sel.Target)
	require.Equal(t, affinity.ReasonFailover, sel.Reason)
	require.Equal(t, "b", sel.From)
	sel = mustSelect(t, s, side, "c")
	require.Equal(t, affinity.ReasonSideCall, sel.Reason)
	require.Empty(t, sel.From)
	require.Equal(t, "b", mustSelect(t, s, side, "c", "a", "b").Target, "and nothing has moved")
}

// While the home is away they go to the second place, as a turn would.
func TestSideCallsGoToTheSecondPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, Fallback: balance.FillFirst[string]()})
		served := affinity.Outcome{Result: affinity.Served}
		mustSelect(t, s, session("x"), "a").Done(served)
		elapse(time.Second)
		mustSelect(t, s, session("x"), "b").Done(served)
		elapse(10 * time.Minute)
		require.Equal(t, "a", mustSelect(t, s, session("x"), "a", "b", "c").Target)
		elapse(time.Second)
		side := mustSelect(t, s, &extract.Request{Header: session("x").Header, Path: "/v1/messages/count_tokens"}, "c", "b")
		require.Equal(t, "b", side.Target)
		require.Equal(t, "b", mustSelect(t, s, session("x"), "c", "b").Target)
	})
}

// Where side calls may go says nothing about where turns may.
func TestSideCallsAreNoAbsence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, Fallback: balance.FillFirst[string]()})
		served := affinity.Outcome{Result: affinity.Served}
		for k := range 40 {
			id := strconv.Itoa(k)
			mustSelect(t, s, session(id), "a").Done(served)
			mustSelect(t, s, &extract.Request{Header: session(id).Header, Path: "/v1/messages/count_tokens"}, "b").Done(served)
			mustSelect(t, s, &extract.Request{Header: session(id).Header,
				Body: []byte(`{"system":"You are a title generator. You output ONLY a thread title. Nothing else.","messages":[{"role":"user","content":"hi"}]}`)}, "b").Done(served)
			elapse(4 * time.Minute)
			mustSelect(t, s, session(id), "b").Done(served)
			elapse(time.Second)
			mustSelect(t, s, &extract.Request{Header: session(id).Header, Path: "/v1/messages/count_tokens"}, "b").Done(served)
			elapse(time.Second)
			require.Equal(t, "a", mustSelect(t, s, session(id), "a", "b").Target, "the home was away for a moment")
			elapse(time.Second)
		}
		// Nor do they say that a home is back.
		for _, target := range []string{"a", "b", "b"} {
			for k := range 40 {
				mustSelect(t, s, session(strconv.Itoa(k)), target).Done(served)
			}
			elapse(4 * time.Minute)
		}
		mustSelect(t, s, &extract.Request{Header: session("0").Header, Path: "/v1/messages/count_tokens"}, "a", "b").Done(served)
		elapse(5 * time.Minute)
		for k := range 40 {
			require.Equal(t, affinity.ReasonDetour, mustSelect(t, s, session(strconv.Itoa(k)), "a", "b").Reason, "it is not its turn")
		}
	})
}

// Invalidate leaves nothing of a session that is away.
func TestInvalidateOnADetour(t *testing.T) {
	t.Parallel()
	eachConversation(t, func(t *testing.T, p affinity.FailoverPolicy, turn func(n, i int) *extract.Request) {
		s := newSelector(t, affinity.Config[string]{Failover: p, Fallback: balance.FillFirst[string]()})
		for i, target := range []string{"a", "b", "b"} {
			mustSelect(t, s, turn(1, i+1), target).Done(served)
			elapse(time.Second)
		}
		d := mustPeek(t, s, turn(1, 3)).Session
		require.NotZero(t, d)
		require.True(t, s.Invalidate(turn(1, 3)))
		sel := mustSelect(t, s, turn(1, 3), "0", "a", "b")
		require.Equal(t, affinity.ReasonNew, sel.Reason)
		require.Equal(t, "0", sel.Target)
		require.Zero(t, s.InvalidateSession(^d))
		elapse(time.Second)
		mustSelect(t, s, turn(1, 3), "1")
		require.NotZero(t, s.InvalidateSession(sel.Session))
		require.Zero(t, s.Cache().Len())
	})
}

// A session that another request has placed while the fallback was asked, at a target that is
// not among the candidates, moves on from there: that is its home or where it was before.
func TestPlacedElsewhereWhileTheFallbackChose(t *testing.T) {
	t.Parallel()
	eachConversation(t, func(t *testing.T, p affinity.FailoverPolicy, turn func(n, i int) *extract.Request) {
		gate := map[string]chan error{"x": make(chan error), "d": make(chan error), "c": make(chan error)}
		s := newSelector(t, affinity.Config[string]{Failover: p, Fallback: affinity.PickerFunc[string](
			func(_ context.Context, _ *extract.Request, candidates []string) (string, error) {
				return candidates[0], <-gate[candidates[0]]
			})})
		reasons := map[string]affinity.Reason{}
		for _, c := range []string{"x", "d", "c"} { // the last two wait for the first, which fails
			go func() {
				sel, _ := s.Select(t.Context(), turn(1, 1), []string{c})
				sel.Done(served)
				reasons[c] = sel.Reason
			}()
			synctest.Wait()
		}
		gate["x"] <- errors.New("no")
		synctest.Wait()
		for _, c := range []string{"d", "c"} {
			elapse(time.Second)
			gate[c] <- nil
			synctest.Wait()
		}
		require.Equal(t, map[string]affinity.Reason{"x": 0, "d": affinity.ReasonNew, "c": affinity.ReasonFailover}, reasons)
		require.Equal(t, "d", mustSelect(t, s, turn(1, 1), "a", "d").Target, "rather than a third target")
	})
}
