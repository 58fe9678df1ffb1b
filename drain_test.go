package affinity_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
	"github.com/go-affinity/affinity/extract"
)

// A drained target keeps its sessions and gets no new ones, whatever kind they
// are of.
func TestDrain(t *testing.T) {
	t.Parallel()
	each(t, policies, func(t *testing.T, p affinity.FailoverPolicy) {
		s := newSelector(t, affinity.Config[string]{Failover: p, Threads: affinity.ThreadsSpread, Fallback: balance.FillFirst[string]()})
		ask := func(req *extract.Request, candidates ...string) *affinity.Selection[string] {
			sel := mustSelect(t, s, req, candidates...)
			sel.Done(served)
			elapse(time.Second)
			return sel
		}
		ask(session("old"), "a", "b", "c")
		ask(chatTurn(1, 1), "a", "b", "c")
		ask(session("elsewhere"), "b")
		ask(claudeAgent("s1", "", ""), "b")
		s.Drain("a", time.Time{})
		for i := range 5 {
			require.Equal(t, "a", ask(session("old"), "a", "b", "c").Target)
			require.Equal(t, "a", ask(chatTurn(1, 2+i), "a", "b", "c").Target, "the same conversation goes on")
			require.Equal(t, "b", ask(session(fmt.Sprint("new ", i)), "a", "b", "c").Target)
			require.Equal(t, "b", ask(chatTurn(2+i, 1), "a", "b", "c").Target)
			require.Equal(t, "b", ask(nil, "a", "b", "c").Target, "a request without a session is a new one")
			require.Equal(t, "b", ask(claudeAgent("s1", fmt.Sprint("agent-", i), ""), "a", "b", "c").Target)
		}
		require.Equal(t, "c", ask(session("elsewhere"), "a", "c").Target)
		require.Equal(t, "c", ask(session("elsewhere"), "a", "c").Target)
		s.Resume("a")
		require.Equal(t, "a", ask(session("newer"), "a", "b", "c").Target)
	})
}

// Where a session was before is no place to flee to if that is drained.
func TestNoFailoverToDrained(t *testing.T) {
	t.Parallel()
	forAll(t, func(t *testing.T, s *affinity.Selector[string], ask func(...string) *affinity.Selection[string]) {
		ask("a")
		ask("b")
		home, other := ask("a", "b").Target, "a"
		if home == "a" {
			other = "b"
		}
		s.Drain(other, time.Time{})
		require.Equal(t, "c", ask(other, "c").Target)
		require.Equal(t, "c", ask(other, "c").Target)
	})
}

func TestNoFailoverToDrainedButIfThereIsNoOther(t *testing.T) {
	t.Parallel()
	forAll(t, func(t *testing.T, s *affinity.Selector[string], ask func(...string) *affinity.Selection[string]) {
		ask("a")
		s.Drain("b", time.Time{})
		require.Equal(t, "b", ask("b").Target)
		require.Equal(t, "b", ask("b").Target)
	})
}

func TestAllDrained(t *testing.T) {
	t.Parallel()
	for _, over := range []bool{false, true} {
		t.Run(fmt.Sprint("deadline over ", over), func(t *testing.T) {
			t.Parallel()
			forAll(t, func(t *testing.T, s *affinity.Selector[string], ask func(...string) *affinity.Selection[string]) {
				require.Equal(t, "a", ask("a", "b").Target)
				for _, target := range []string{"a", "b", "c"} {
					var until time.Time
					if over {
						until = time.Now()
					}
					s.Drain(target, until)
				}
				for range 10 {
					require.Equal(t, "a", ask("b", "a", "c").Target, "nobody is better, so nobody moves")
				}
				require.Contains(t, []string{"b", "c"}, ask("b", "c").Target)
				mustSelect(t, s, session("new"), "b", "a")
				mustSelect(t, s, nil, "b", "a")
			})
		})
	}
}

func TestDrainDeadline(t *testing.T) {
	t.Parallel()
	forAll(t, func(t *testing.T, s *affinity.Selector[string], ask func(...string) *affinity.Selection[string]) {
		ask("a")
		s.Drain("a", time.Now().Add(time.Minute))
		elapse(57 * time.Second)
		require.Equal(t, "a", ask("a", "b").Target)
		elapse(time.Second - 1)
		require.Equal(t, "a", ask("a", "b").Target)
		elapse(1)
		moved := ask("a", "b")
		require.Equal(t, "b", moved.Target)
		require.Equal(t, affinity.ReasonFailover, moved.Reason)
		require.Equal(t, "a", moved.From)
		require.Equal(t, "b", ask("a", "b").Target)
		require.NotEqual(t, "a", ask("a", "c").Target, "it does not go back there")
		s.Resume("a")
		require.NotEqual(t, "b", ask("a", "c").Target)
	})
}

// A deadline that is no deadline.
func TestDrainForAges(t *testing.T) {
	t.Parallel()
	for name, until := range map[string]time.Time{
		"the zero Time": {},
		"the year 9999": time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC),
		"the year 2500": time.Date(2500, 1, 1, 0, 0, 0, 0, time.UTC),
		"292 years":     time.Now().Add(1<<63 - 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSelector(t, affinity.Config[string]{})
				mustSelect(t, s, session("s"), "a").Done(served)
				s.Drain("a", until)
				for range 3 {
					elapse(time.Second)
					require.Equal(t, affinity.ReasonBound, mustSelect(t, s, session("s"), "b", "a").Reason)
				}
				require.Equal(t, "b", mustSelect(t, s, session("t"), "a", "b").Target)
			})
		})
	}
}

func TestDrainOfThePast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{})
		for i, until := range []time.Time{time.Unix(0, 0), time.Now().Add(-1)} { // the second is 0 by the Selector's clock
			mustSelect(t, s, session(fmt.Sprint(i)), "a").Done(served)
			s.Drain("a", until)
			require.Equal(t, "b", mustSelect(t, s, session(fmt.Sprint(i)), "a", "b").Target)
		}
		s.Drain("a", time.Time{}) // no deadline after all
		mustSelect(t, s, session("t"), "a").Done(served)
		require.Equal(t, "a", mustSelect(t, s, session("t"), "a", "b").Target)
		s.Resume("a")
		s.Resume("a")
		s.Resume("never drained")
		s.Drain("b", time.Time{})
		require.Equal(t, "a", mustSelect(t, s, session("u"), "b", "a").Target, "resuming twice counts once")
	})
}

// After the deadline nothing goes there any more, side calls no more than turns.
func TestSideCallsAfterTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Fallback: balance.FillFirst[string]()})
		mustSelect(t, s, session("s"), "a").Done(served)
		count := session("s")
		count.Path = "/v1/messages/count_tokens"
		s.Drain("a", time.Now().Add(time.Minute))
		require.Equal(t, "a", mustSelect(t, s, count, "b", "a").Target)
		elapse(time.Minute)
		require.Equal(t, "b", mustSelect(t, s, count, "a", "b").Target)
		require.Equal(t, "a", mustSelect(t, s, count, "a").Target, "where there is no other")
	})
}

// A detour that is drained keeps those who are there.
func TestDrainOfADetour(t *testing.T) {
	t.Parallel()
	each(t, conversations, func(t *testing.T, turn func(n, i int) *extract.Request) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, Fallback: balance.FillFirst[string]()})
		ask := asking(t, s, turn)
		ask("a")
		ask("b")
		s.Drain("b", time.Now().Add(time.Minute))
		require.Equal(t, "b", ask("0", "b").Target)
		elapse(time.Minute)
		require.Equal(t, "0", ask("b", "0").Target)
		require.Equal(t, "0", ask("b", "0").Target)
		ask("b", "a", "0")
		elapse(5 * time.Minute)
		require.Equal(t, "a", ask("b", "a", "0").Target)
	})
}

// A session whose home is away stays at its detour where there is nothing but what is drained.
func TestDetourAmongDrained(t *testing.T) {
	t.Parallel()
	forAll(t, func(t *testing.T, s *affinity.Selector[string], ask func(...string) *affinity.Selection[string]) {
		ask("a")
		for _, target := range []string{"b", "c", "d"} {
			s.Drain(target, time.Now())
		}
		for range 3 {
			require.Equal(t, "b", ask("b", "c", "d").Target)
			require.Equal(t, "b", ask("d", "c", "b").Target)
		}
		s.Resume("d")
		require.Equal(t, "d", ask("b", "c", "d").Target)
	})
}

// Who is away from a target that is drained does not come back to it, whether or not that is
// overloaded as well.
func TestNoReturnToDrained(t *testing.T) {
	t.Parallel()
	for _, overloaded := range []string{"", "a"} {
		each(t, conversations, func(t *testing.T, turn func(n, i int) *extract.Request) {
			fallback := newAuditor(t)
			s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, Fallback: fallback})
			ask := asking(t, s, turn)
			ask("a")
			ask("b")
			s.Drain("a", time.Time{})
			fallback.overload(overloaded)
			given := ask("a", "b")
			require.Equal(t, []any{"b", affinity.ReasonDetour, "a"}, []any{given.Target, given.Reason, given.From})
			for range 5 {
				require.Equal(t, "b", ask("a", "b").Target)
			}
			s.Resume("a")
			fallback.overload()
			require.Equal(t, "b", ask("a", "b").Target, "it is at home there now")
		})
	}
}

// A neighbour and a new thread are new sessions, a continued one is not.
func TestDrainAndInheritance(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := new(scripted)
		s := newSelector(t, affinity.Config[string]{Extractor: x, Fallback: balance.FillFirst[string]()})
		ask := func(sess extract.Session) *affinity.Selection[string] {
			sess.Source = "x"
			x.now = sess
			sel := mustSelect(t, s, new(extract.Request), "a", "b")
			sel.Done(served)
			elapse(time.Second)
			return sel
		}
		ask(extract.Session{ID: "one"})
		s.Drain("a", time.Time{})
		require.Equal(t, "a", ask(extract.Session{ID: "two", Continues: []string{"one"}}).Target)
		for _, sess := range []extract.Session{{ID: "three", Near: []string{"one"}}, {ID: "four", Parent: "one"}, {ID: "one", Thread: "t"}} {
			sel := ask(sess)
			require.Equal(t, "b", sel.Target)
			require.Equal(t, affinity.ReasonNew, sel.Reason)
		}

		// They start where the session was before it came to what is drained now.
		for i, target := range []string{"c", "d"} {
			x.now = extract.Session{Source: "x", ID: "five"}
			mustSelect(t, s, new(extract.Request), target).Done(served)
			elapse(time.Second)
			if i == 0 {
				s.Drain("d", time.Time{})
			}
		}
		for i, sess := range []extract.Session{{Near: []string{"five"}}, {Parent: "five"}, {Thread: "t"}} {
			if sess.Source, sess.ID = "x", "five"; sess.Thread == "" {
				sess.ID = fmt.Sprint("new ", i)
			}
			x.now = sess
			sel := mustSelect(t, s, new(extract.Request), []string{"b", "c", "d"}[i%2:]...)
			sel.Done(served)
			require.Equal(t, "c", sel.Target)
			require.Equal(t, affinity.ReasonFailover, sel.Reason)
			require.Equal(t, "d", sel.From)
		}
	})
}

// Nor does a thread start at the detour of its session if that is drained.
func TestThreadsOfADrainedDetour(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, Fallback: balance.FillFirst[string]()})
	mustSelect(t, s, claudeAgent("s1", "", ""), "a")
	mustSelect(t, s, claudeAgent("s1", "", ""), "b")
	s.Drain("b", time.Time{})
	require.Equal(t, "c", mustSelect(t, s, claudeAgent("s1", "agent-1", ""), "b", "c").Target)
	require.Equal(t, "b", mustSelect(t, s, claudeAgent("s1", "", ""), "b", "c").Target)
}

// Drains outlive a Selector as bindings do: they belong to the Cache.
func TestDrainOutlivesItsSelector(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		old := newSelector(t, affinity.Config[string]{})
		mustSelect(t, old, session("s"), "a").Done(served)
		old.Drain("a", time.Now().Add(time.Minute))
		require.NoError(t, old.Close())
		s := newSelector(t, affinity.Config[string]{Cache: old.Cache(), Fallback: balance.FillFirst[string]()})
		require.Equal(t, "a", mustSelect(t, s, session("s"), "a", "b").Target)
		require.Equal(t, "b", mustSelect(t, s, session("t"), "a", "b").Target)
		s.InvalidateTarget("a")
		require.Equal(t, "b", mustSelect(t, s, session("s"), "a", "b").Target, "drained still, though without sessions")
		require.Equal(t, "b", mustSelect(t, old, session("u"), "a", "b").Target, "closed, and still it heeds the drain")
		s.Cache().Clear()
		require.Equal(t, "b", mustSelect(t, s, session("v"), "a", "b").Target)
		old.Resume("a")
		require.Equal(t, "a", mustSelect(t, s, session("w"), "a", "b").Target)
	})
}

func TestDrained(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{})
		require.Empty(t, s.Drained())
		until := time.Now().Add(time.Minute)
		s.Drain("a", until)
		s.Drain("b", time.Time{})
		s.Drain("c", time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC))
		s.Resume("d")
		start := time.Now()
		elapse(time.Second)
		s.Drain("e", start.Add(-time.Hour))
		require.Equal(t, start.Round(0), s.Drained()["e"].Round(0), "the Cache knows no earlier time")
		s.Resume("e")
		other := newSelector(t, affinity.Config[string]{Cache: s.Cache()})
		require.Equal(t, map[string]time.Time{"a": until.Round(0), "b": {}, "c": {}}, map[string]time.Time{
			"a": other.Drained()["a"].Round(0), "b": other.Drained()["b"], "c": other.Drained()["c"],
		})
		require.Len(t, other.Drained(), 3)
		elapse(time.Hour)
		require.Len(t, s.Drained(), 3, "they end when somebody says so")
		s.Resume("a")
		s.Resume("b")
		s.Resume("c")
		require.Empty(t, s.Drained())
	})
}

// State stays where it is, drained or not.
func TestStateOnDrained(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{FailPinned: true, Fallback: balance.FillFirst[string]()})
		mustSelect(t, s, session("s"), "a").Learn("resp_1")
		s.Drain("a", time.Time{})
		require.Equal(t, "a", mustSelect(t, s, body(`{"input":"x","previous_response_id":"resp_1"}`), "b", "a").Target)
	})
}

// A session whose detour has gone returns home, also if the home is drained and there
// is no other.
func TestReturnToDrained(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn})
		for _, target := range []string{"a", "b"} {
			mustSelect(t, s, session("s"), target).Done(served)
			elapse(time.Second)
		}
		s.Drain("a", time.Now())
		elapse(time.Second)
		sel := mustSelect(t, s, session("s"), "a")
		require.Equal(t, affinity.ReasonReturned, sel.Reason)
		require.Equal(t, "b", sel.From)
		elapse(time.Second)
		require.Equal(t, affinity.ReasonBound, mustSelect(t, s, session("s"), "a").Reason)
	})
}

// It does so while its home is drained, but not the detour that is past its deadline.
func TestReturnFromADetourThatIsOver(t *testing.T) {
	t.Parallel()
	each(t, conversations, func(t *testing.T, turn func(n, i int) *extract.Request) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, Fallback: balance.FillFirst[string]()})
		for n := range 2 {
			for i, target := range []string{"a", "b"} {
				mustSelect(t, s, turn(n, i+1), target).Done(served)
				elapse(time.Second)
			}
		}
		s.Drain("a", time.Now().Add(time.Hour))
		s.Drain("b", time.Now())
		require.Equal(t, "a", mustSelect(t, s, turn(0, 3), "b", "a").Target)
		require.Equal(t, "a", mustSelect(t, s, turn(1, 3), "a", "b").Target)
	})
}

// A request that goes on from state does not leave a drained target that is there, though
// nobody has said where that state is: the error would be that it is not.
func TestUnknownStateOnDrained(t *testing.T) {
	t.Parallel()
	each(t, policies, func(t *testing.T, policy affinity.FailoverPolicy) {
		s := newSelector(t, affinity.Config[string]{FailPinned: true, Failover: policy, Fallback: balance.FillFirst[string]()})
		mustSelect(t, s, session("x"), "b").Done(served)
		s.Drain("b", time.Now().Add(-time.Second))
		sel := mustSelect(t, s, withFile("x"), "a", "b")
		require.Equal(t, "b", sel.Target)
		require.Equal(t, affinity.ReasonPinned, sel.Reason)
		require.Empty(t, sel.From)
		_, err := s.Select(t.Context(), withFile("x"), []string{"a"})
		var pinned *affinity.PinnedError
		require.ErrorAs(t, err, &pinned)
		require.Equal(t, "a", mustSelect(t, s, session("x"), "a", "b").Target, "what refers to nothing moves")
	})
}

// A request that goes where its session is, for the sake of state, uses the binding that
// is there: a stream that has it still does, and a failure takes back its own use only.
func TestStateAtADrainedHomeMovesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{FailPinned: true, Fallback: balance.FillFirst[string]()})
		next := func() *extract.Request {
			r := session("x")
			r.Body = []byte(`{"input":"go on","previous_response_id":"resp_0123456789abcdef"}`)
			return r
		}
		first := mustSelect(t, s, session("x"), "b")
		first.Learn("resp_0123456789abcdef")
		first.Done(served)
		s.Drain("b", time.Now())
		before := mustPeek(t, s, session("x"))
		elapse(time.Minute)
		failed := mustSelect(t, s, next(), "a", "b")
		require.Equal(t, "b", failed.Target)
		require.Equal(t, affinity.ReasonPinned, failed.Reason)
		require.Equal(t, time.Minute, failed.Idle)
		failed.Done(affinity.Outcome{Result: affinity.TransientFailure})
		require.Equal(t, before, mustPeek(t, s, session("x")))

		stream := mustSelect(t, s, next(), "a", "b")
		mustSelect(t, s, next(), "a", "b").Done(served)
		require.Equal(t, 1, mustPeek(t, s, session("x")).Active, "the stream goes on")
		elapse(time.Minute)
		stream.Done(served)
		require.Equal(t, time.Now().Add(affinity.DefaultTTL), mustPeek(t, s, session("x")).Expires)
	})
}
