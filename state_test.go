package affinity_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
	"github.com/go-affinity/affinity/extract"
)

func body(s string) *extract.Request { return &extract.Request{Body: []byte(s)} }

// State does not move with the sessions of its target.
func TestStateDoesNotMove(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{FailPinned: true})
	sel := mustSelect(t, s, session("s"), "a")
	sel.Learn("resp_0123456789abcdef")
	sel.Done(served)
	states := 0
	for _, b := range s.Cache().All() {
		require.Equal(t, sel.Session, b.Session)
		require.False(t, b.Aside)
		if b.State {
			states++
		}
	}
	require.Equal(t, 1, states)
	require.Equal(t, 1, s.Cache().MoveFunc("b", func(_ affinity.Key, b affinity.Binding) bool { return b.Target == "a" }))
	require.Equal(t, "b", mustPeek(t, s, session("s")).Target)
	next := func() *extract.Request {
		return &extract.Request{Body: []byte(`{"previous_response_id":"resp_0123456789abcdef","input":"go on"}`)}
	}
	_, err := s.Select(t.Context(), next(), []string{"b"})
	var pinned *affinity.PinnedError
	require.ErrorAs(t, err, &pinned)
	require.Equal(t, "a", pinned.Target)
	require.Equal(t, "a", mustSelect(t, s, next(), "a", "b").Target)
}

// A conversation that says no more than which response it goes on from stays where that
// response is.
func TestLearnedStateKeepsAConversation(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{})
	all := []string{"a", "b", "c", "d"}
	for chat := range 8 {
		first := mustSelect(t, s, body(fmt.Sprintf(`{"input":"question %d","store":true}`, chat)), all...)
		last := first
		for turn := range 5 {
			id := fmt.Sprintf("resp_%d_%d", chat, turn)
			last.Learn(id)
			last = mustSelect(t, s, body(`{"input":"go on","previous_response_id":"`+id+`"}`), all...)
			require.Equal(t, first.Target, last.Target)
			require.Equal(t, first.Session, last.Session, "it is one session all along")
			require.Equal(t, affinity.ReasonBound, last.Reason)
		}
	}
}

func TestPinnedRequests(t *testing.T) {
	t.Parallel()
	all := []string{"a", "b", "c"}
	for name, req := range map[string]*extract.Request{
		"response":        body(`{"input":"x","previous_response_id":"state_1"}`),
		"interaction":     body(`{"input":"x","previous_interaction_id":"state_1"}`),
		"thread":          body(`{"thread":{"type":"continue","previous_message_id":"state_1"},"messages":[{"role":"user","content":"x"}]}`),
		"cached content":  body(`{"cachedContent":"state_1","contents":[{"parts":[{"text":"x"}]}]}`),
		"code assist":     body(`{"request":{"cachedContent":"state_1","contents":[{"parts":[{"text":"x"}]}]}}`),
		"context":         body(`{"context_id":"ctx-20250218162710-1","messages":[{"role":"user","content":"x"}]}`),
		"container":       body(`{"container":"state_1","messages":[{"role":"user","content":"x"}]}`),
		"container by id": body(`{"container":{"id":"state_1"},"messages":[{"role":"user","content":"x"}]}`),
		"file":            body(`{"input":[{"role":"user","content":[{"type":"input_file","file_id":"state_1"}]}]}`),
		"item":            body(`{"input":[{"type":"item_reference","id":"state_1"},{"role":"user","content":"x"}]}`),
		"path":            {Method: "GET", Path: "/v1/responses/state_1/input_items"},
		"with a session": {Header: http.Header{"X-Session-Id": {"elsewhere"}},
			Body: []byte(`{"input":"x","previous_response_id":"state_1"}`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The state is on c, where the fallback would not go.
			build := func(strict bool) *affinity.Selector[string] {
				s := newSelector(t, affinity.Config[string]{Fallback: balance.FillFirst[string](), FailPinned: strict})
				maker := mustSelect(t, s, session("maker"), "c")
				maker.Learn("state_1")
				maker.Learn("ctx-20250218162710-1")
				return s
			}
			s := build(false)
			sel := mustSelect(t, s, req, all...)
			require.Equal(t, "c", sel.Target)
			require.Contains(t, []affinity.Reason{affinity.ReasonBound, affinity.ReasonPinned}, sel.Reason)
			require.Equal(t, "c", mustSelect(t, s, req, all...).Target)

			// Where c is not to be had: a move, or an error if so configured.
			s = build(false)
			require.Equal(t, "a", mustSelect(t, s, req, "a", "b").Target)
			s = build(true)
			n := s.Cache().Len()
			_, err := s.Select(t.Context(), req, []string{"a", "b"})
			var pinned *affinity.PinnedError
			require.ErrorAs(t, err, &pinned)
			require.Equal(t, "c", pinned.Target)
			require.ErrorContains(t, err, "target c")
			require.Equal(t, n, s.Cache().Len(), "nothing was bound")
			require.Equal(t, "c", mustSelect(t, s, req, all...).Target, "and it goes on when c is back")
		})
	}
}

func TestUnknownStateIsNoReasonToFail(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{FailPinned: true})
	first := mustSelect(t, s, body(`{"previous_response_id":"resp_x"}`), "a", "b")
	require.Equal(t, affinity.ReasonNew, first.Reason)
	require.Equal(t, first.Target, mustSelect(t, s, body(`{"previous_response_id":"resp_x"}`), "a", "b").Target, "a retry goes there as well")
}

// State that nobody has told of is taken to be at the session's home.
func TestUnknownStateIsAtTheHome(t *testing.T) {
	t.Parallel()
	for _, policy := range []affinity.FailoverPolicy{affinity.FailoverRebind, affinity.FailoverReturn} {
		s := newSelector(t, affinity.Config[string]{FailPinned: true, Failover: policy})
		mustSelect(t, s, session("x"), "a")
		_, err := s.Select(t.Context(), withFile("x"), []string{"b"})
		var pinned *affinity.PinnedError
		require.ErrorAs(t, err, &pinned)
		require.Equal(t, "a", pinned.Target)
		require.Equal(t, "a", mustSelect(t, s, withFile("x"), "a", "b").Target, "and it goes on when a is back")
		require.Equal(t, "b", mustSelect(t, s, session("x"), "b").Target, "what refers to nothing moves")
	}
}

// Or at its detour, once there is one: the last answer came from there.
func TestUnknownStateIsAtTheDetour(t *testing.T) {
	t.Parallel()
	for _, learned := range []bool{false, true} { // something else
		synctest.Test(t, func(t *testing.T) {
			s := newSelector(t, affinity.Config[string]{FailPinned: true, Failover: affinity.FailoverReturn})
			first := mustSelect(t, s, session("x"), "a")
			first.Done(served)
			if learned {
				first.Learn("resp_0123456789abcdef")
			}
			elapse(time.Second)
			mustSelect(t, s, session("x"), "b").Done(served)
			for _, candidates := range [][]string{{"c", "b"}, {"a", "b", "c"}} {
				elapse(time.Second)
				sel := mustSelect(t, s, withFile("x"), candidates...)
				require.Equal(t, "b", sel.Target)
				require.Equal(t, affinity.ReasonDetour, sel.Reason)
			}
			for _, candidates := range [][]string{{"c"}, {"a"}, {"a", "c"}} { // the home may be back
				_, err := s.Select(t.Context(), withFile("x"), candidates)
				var pinned *affinity.PinnedError
				require.ErrorAs(t, err, &pinned, candidates)
				require.Equal(t, "b", pinned.Target)
			}
			s.Drain("b", time.Now())
			elapse(time.Second)
			for range 2 {
				sel := mustSelect(t, s, withFile("x"), "a", "b", "c")
				require.Equal(t, "b", sel.Target, "drained, but there")
				require.Equal(t, affinity.ReasonDetour, sel.Reason)
				require.Equal(t, "a", sel.From)
				sel.Done(served)
				elapse(time.Second)
			}
			sel := mustSelect(t, s, session("x"), "a", "b")
			require.Equal(t, "a", sel.Target, "what refers to nothing goes home")
			require.Equal(t, affinity.ReasonReturned, sel.Reason)
		})
	}
}

// So it is if the home would be too cold to go back to for anything else.
func TestUnknownStateAndAColdHome(t *testing.T) {
	t.Parallel()
	for _, strict := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newSelector(t, affinity.Config[string]{FailPinned: strict, Failover: affinity.FailoverReturn})
			teach(t, s, "a")
			for n := range 20 {
				mustSelect(t, s, session(fmt.Sprint(n)), "a").Done(served)
				elapse(time.Second)
				mustSelect(t, s, session(fmt.Sprint(n)), "b").Done(served)
			}
			elapse(10 * time.Minute)
			for n := range 20 {
				sel, err := s.Select(t.Context(), withFile(fmt.Sprint(n)), []string{"a", "c"})
				if strict {
					var pinned *affinity.PinnedError
					require.ErrorAs(t, err, &pinned)
					require.Equal(t, "b", pinned.Target)
					continue
				}
				require.Equal(t, "a", sel.Target)
				require.Equal(t, affinity.ReasonReturned, sel.Reason)
				require.Equal(t, "b", sel.From)
			}
		})
	}
}

// A session that is named by state which was not learned makes it no more known than it was,
// whatever else was learned.
func TestUnknownStateThatNamesASession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, strict := range []bool{false, true} {
			s := newSelector(t, affinity.Config[string]{FailPinned: strict, Fallback: balance.FillFirst[string]()})
			mustSelect(t, s, session("maker"), "c").Learn("state_2")
			goesOn := func() *extract.Request { return body(`{"input":"x","previous_response_id":"state_1"}`) }
			require.Equal(t, affinity.ReasonNew, mustSelect(t, s, goesOn(), "a", "b").Reason)
			require.Equal(t, affinity.ReasonBound, mustSelect(t, s, goesOn(), "b", "a").Reason)

			mustSelect(t, s, session("s"), "b").Done(served)
			req := session("s")
			req.Body = goesOn().Body
			require.Equal(t, "b", mustSelect(t, s, req, "a", "b").Target, "the state is taken to be at the home")

			s.Drain("a", time.Now())
			elapse(time.Second)
			want := map[bool]string{false: "b", true: "a"}[strict]
			require.Equal(t, want, mustSelect(t, s, goesOn(), "a", "b").Target)
		}
	})
}

// A conversation that moves to its state is known to have been elsewhere, whether its turns
// have one binding or one each. A thread that starts there was nowhere.
func TestMoveToTheState(t *testing.T) {
	t.Parallel()
	for i := range 6 {
		each, away := i%2 > 0, i/2 > 0
		synctest.Test(t, func(t *testing.T) {
			x := new(scripted)
			policy := affinity.FailoverRebind
			if away { // b is a detour
				policy = affinity.FailoverReturn
			}
			s := newSelector(t, affinity.Config[string]{Extractor: x, Failover: policy, FailPinned: true, Fallback: balance.FillFirst[string]()})
			turn := func(n int, body string, candidates ...string) *affinity.Selection[string] {
				elapse(time.Second)
				x.now = extract.Session{Source: "x", ID: "s"}
				if each {
					x.now = extract.Session{Source: "x", ID: fmt.Sprint(n), Continues: []string{fmt.Sprint(n - 1)}}
				}
				return mustSelect(t, s, &extract.Request{Body: []byte(body)}, candidates...)
			}
			const state = `{"previous_response_id":"resp_0123456789abcdef"}`
			x.now = extract.Session{Source: "x", ID: "maker"}
			mustSelect(t, s, new(extract.Request), "c").Learn("resp_0123456789abcdef")
			if away {
				turn(0, "{}", "a")
			}
			turn(1, "{}", "b")
			candidates := []string{"0", "b", "c"}
			if i/2 == 2 { // which has gone, and its home is back
				candidates[1] = "a"
			}
			sel := turn(2, state, candidates...)
			require.Equal(t, []any{"c", affinity.ReasonPinned, "b"}, []any{sel.Target, sel.Reason, sel.From})
			require.Equal(t, "b", turn(3, "{}", "0", "b").Target, "where it was before")
			x.now = extract.Session{Source: "x", ID: "p"}
			mustSelect(t, s, new(extract.Request), "a")
			elapse(time.Second)
			mustSelect(t, s, new(extract.Request), "b")
			x.now.Thread = "t"
			thread := mustSelect(t, s, &extract.Request{Body: []byte(state)}, "a", "c")
			require.Equal(t, []any{"c", affinity.ReasonPinned, ""}, []any{thread.Target, thread.Reason, thread.From})
		})
	}
}

// A request that waits for the first of its session goes where that went, wherever the state
// is that it refers to: so it would have if it had come later.
func TestStateOfARequestThatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Fallback: affinity.PickerFunc[string](func(_ context.Context, _ *extract.Request, candidates []string) (string, error) {
			elapse(time.Second)
			return candidates[0], nil
		})})
		mustSelect(t, s, session("maker"), "c").Learn(fileID)
		go s.Select(t.Context(), session("x"), []string{"a", "c"})
		synctest.Wait()
		sel := mustSelect(t, s, withFile("x"), "a", "c")
		require.Equal(t, []any{"a", affinity.ReasonBound}, []any{sel.Target, sel.Reason})
		require.Equal(t, 2, mustPeek(t, s, session("x")).Active, "it has the same binding")
	})
}

// A session that has lost its home goes to the state before it goes where it was before.
func TestStateOfASessionWithoutItsHome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{})
		mustSelect(t, s, session("maker"), "c").Learn(fileID)
		mustSelect(t, s, session("x"), "a")
		elapse(time.Second)
		mustSelect(t, s, session("x"), "b")
		s.InvalidateTarget("b")
		sel := mustSelect(t, s, withFile("x"), "a", "c")
		require.Equal(t, []any{"c", affinity.ReasonPinned}, []any{sel.Target, sel.Reason})
	})
}

// A session does not go home while a request refers to what is likely to be at its detour.
func TestUnknownStateDelaysTheReturn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn})
		mustSelect(t, s, session("x"), "a").Done(served)
		elapse(time.Second)
		mustSelect(t, s, session("x"), "b").Done(served)
		elapse(time.Minute)
		sel := mustSelect(t, s, withFile("x"), "a", "b")
		require.Equal(t, []any{"b", affinity.ReasonDetour, "a"}, []any{sel.Target, sel.Reason, sel.From})
		require.Equal(t, time.Minute, sel.Idle)
		sel.Done(served)
		elapse(time.Second)
		require.Equal(t, affinity.ReasonReturned, mustSelect(t, s, session("x"), "a", "b").Reason)
	})
}

// State at the home that each turn refers to does not make a conversation forget where it
// was before.
func TestStateAtTheHomeKeepsTheSecondPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Fallback: balance.FillFirst[string]()})
		const file = "file-0123456789abcdef"
		ask := func(turn int, candidates ...string) *affinity.Selection[string] {
			text := `"chat 1 question 0"`
			with := `[{"type":"text","text":` + text + `},{"type":"file","file":{"file_id":"` + file + `"}}]`
			sel := mustSelect(t, s, body(strings.Replace(string(chatTurn(1, turn).Body), text, with, 1)), candidates...)
			sel.Learn(file)
			sel.Done(served)
			elapse(time.Second)
			return sel
		}
		ask(1, "a")
		ask(2, "b")
		require.Equal(t, "b", ask(3, "c", "b", "a").Target)
		require.Equal(t, "b", ask(4, "b", "c", "a").Target)
		require.Equal(t, "a", ask(5, "c", "a").Target)
	})
}

// A detour that a former configuration has made is the home of a new one that makes none,
// also for a request that refers to state.
func TestUnknownStateAtTheDetourOfAFormerConfiguration(t *testing.T) {
	t.Parallel()
	for drained, reason := range map[bool]affinity.Reason{false: affinity.ReasonFailover, true: affinity.ReasonDetour} {
		synctest.Test(t, func(t *testing.T) {
			cfg := affinity.Config[string]{Failover: affinity.FailoverReturn}
			s := newSelector(t, cfg)
			for _, target := range []string{"a", "b"} {
				mustSelect(t, s, session("x"), target).Done(served)
				elapse(time.Second)
			}
			cfg.Cache, cfg.Failover, cfg.FailPinned = s.Cache(), affinity.FailoverRebind, true
			s = newSelector(t, cfg)
			if drained {
				s.Drain("b", time.Time{})
			}
			sel := mustSelect(t, s, withFile("x"), "b", "c")
			require.Equal(t, []any{"b", reason, "a"}, []any{sel.Target, sel.Reason, sel.From})
			require.Equal(t, "b", mustPeek(t, s, session("x")).Target)
		})
	}
}

// State that names the session lives on with each use, also on a target that is drained.
func TestStateOfASessionThatIsDrained(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Fallback: balance.FillFirst[string]()})
		first := mustSelect(t, s, nil, "a")
		first.Learn("resp_0123456789abcdef")
		first.Done(served)
		s.Drain("a", time.Now())
		for range 5 {
			elapse(50 * time.Minute)
			sel := mustSelect(t, s, body(`{"previous_response_id":"resp_0123456789abcdef"}`), "b", "a")
			require.Equal(t, "a", sel.Target)
			require.Equal(t, affinity.ReasonPinned, sel.Reason)
			sel.Done(served)
		}
	})
}

// What was learned expires too.
func TestLearnedStateExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{TTL: time.Minute, FailPinned: true, Fallback: balance.FillFirst[string]()})
		sel := mustSelect(t, s, session("s"), "b")
		sel.Learn("resp_1")
		sel.Learn("msg_1")
		sel.Done(affinity.Outcome{Result: affinity.Served})
		sel.Learn("resp_2") // late, as a binding would be
		elapse(time.Minute)
		for _, id := range []string{"resp_1", "resp_2", "msg_1"} {
			require.Equal(t, "a", mustSelect(t, s, body(`{"previous_response_id":"`+id+`"}`), "a").Target)
		}
		// Nobody waits for ever for an outcome that never comes.
		mustSelect(t, s, session("t"), "b").Learn("resp_3")
		elapse(time.Minute + time.Hour)
		require.Equal(t, "a", mustSelect(t, s, body(`{"previous_response_id":"resp_3"}`), "a").Target)
	})
}

// Learn and Done may come at the same time: no lease is left behind.
func TestLearnBesideDone(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{})
	for i := range 2000 {
		sel := mustSelect(t, s, session("s"), "a")
		var wg sync.WaitGroup
		wg.Go(func() { sel.Learn("resp_" + strconv.Itoa(i)) })
		wg.Go(func() { sel.Learn("msg_" + strconv.Itoa(i)) })
		wg.Go(func() { sel.Done(affinity.Outcome{Result: affinity.Result(i % 3)}) })
		wg.Wait()
	}
	n := 0
	for _, b := range s.Cache().All() {
		require.Zero(t, b.Active)
		n++
	}
	require.Equal(t, 4001, n)
}

// An answer may stream for longer than the TTL: what it is called counts from its end.
func TestStateLearnedDuringALongStream(t *testing.T) {
	t.Parallel()
	for result, want := range map[affinity.Result]string{affinity.Served: "b", affinity.Neutral: "a", affinity.TransientFailure: "a", affinity.TerminalFailure: "a"} {
		synctest.Test(t, func(t *testing.T) {
			s := newSelector(t, affinity.Config[string]{TTL: time.Minute, Fallback: balance.FillFirst[string]()})
			next := func() *extract.Request { return body(`{"previous_response_id":"resp_1"}`) }
			sel := mustSelect(t, s, session("s"), "b")
			sel.Learn("resp_1")
			sel.Learn("msg_2")
			elapse(10 * time.Minute)
			sel.Done(affinity.Outcome{Result: result})
			elapse(time.Minute - time.Nanosecond)
			require.Equal(t, want, mustSelect(t, s, next(), "a", "b").Target)
		})
	}
	// What was removed meanwhile is not there again.
	for name, remove := range map[string]func(*affinity.Selector[string], affinity.Digest){
		"target":  func(s *affinity.Selector[string], _ affinity.Digest) { s.InvalidateTarget("b") },
		"session": func(s *affinity.Selector[string], d affinity.Digest) { s.InvalidateSession(d) },
		"all":     func(s *affinity.Selector[string], _ affinity.Digest) { s.Cache().Clear() },
	} {
		s := newSelector(t, affinity.Config[string]{Fallback: balance.FillFirst[string]()})
		sel := mustSelect(t, s, session("s"), "b")
		sel.Learn("resp_1")
		remove(s, sel.Session)
		sel.Done(affinity.Outcome{Result: affinity.Served})
		require.Equal(t, "a", mustSelect(t, s, body(`{"previous_response_id":"resp_1"}`), "a", "b").Target, name)
	}
}

// Each event of a response tells its id, and so may each turn of a conversation: what is learned
// again is kept until Done as well, and lives on from there.
func TestStateThatIsLearnedAgain(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]func(s *affinity.Selector[string], sel *affinity.Selection[string]){
		"by the same request": func(_ *affinity.Selector[string], sel *affinity.Selection[string]) { sel.Learn("resp_1") },
		"by another of the session": func(s *affinity.Selector[string], _ *affinity.Selection[string]) {
			other := mustSelect(t, s, session("s"), "b")
			other.Learn("resp_1")
			other.Done(affinity.Outcome{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSelector(t, affinity.Config[string]{TTL: time.Minute, Fallback: balance.FillFirst[string]()})
				known := func() bool {
					_, ok := s.Peek(body(`{"previous_response_id":"resp_1"}`))
					return ok
				}
				sel := mustSelect(t, s, session("s"), "b")
				sel.Learn("resp_1")
				elapse(time.Second)
				again(s, sel)
				elapse(10 * time.Minute)
				require.True(t, known(), "the answer streams")
				sel.Done(affinity.Outcome{Result: affinity.Served})
				for _, b := range s.Cache().All() {
					require.Zero(t, b.Active)
				}
				elapse(time.Minute - time.Nanosecond)
				require.True(t, known())
				elapse(time.Nanosecond)
				require.False(t, known())
			})
		})
	}
}

// What is learned in passing takes no room from sessions that are in use.
func TestLearnedStateCrowdsOutNobody(t *testing.T) {
	long(t)
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{TTL: 10 * time.Minute, Capacity: 10_000})
		lost := 0
		for turn := range 15 {
			for k := range 1000 {
				sel := mustSelect(t, s, session(strconv.Itoa(k)), "a", "b", "c")
				if turn > 0 && sel.Reason != affinity.ReasonBound {
					lost++
				}
				for i := range 3 {
					sel.Learn(fmt.Sprintf("resp_%d_%d_%d", turn, k, i))
				}
				sel.Done(affinity.Outcome{Result: affinity.Served})
			}
			elapse(time.Minute)
		}
		require.Less(t, lost, 100)
	})
}

// A new session is not refused for the places of a neighbour.
func TestStateAndANeighbourThatHasMoved(t *testing.T) {
	t.Parallel()
	x := new(scripted)
	s := newSelector(t, affinity.Config[string]{FailPinned: true, Fallback: balance.FillFirst[string](), Extractor: x})
	x.now = extract.Session{Source: "x", ID: "1"}
	mustSelect(t, s, new(extract.Request), "a")
	mustSelect(t, s, new(extract.Request), "b")
	x.now = extract.Session{Source: "x", ID: "2", Near: []string{"1"}}
	mustSelect(t, s, body(`{"input":[{"role":"user","content":[{"type":"input_file","file_id":"file-0123456789abcdef"}]}]}`), "c", "a")
}

// State is where it was learned to be, whoever has been asked for it meanwhile.
func TestStateStaysWhereItIs(t *testing.T) {
	t.Parallel()
	for _, policy := range []affinity.FailoverPolicy{affinity.FailoverRebind, affinity.FailoverReturn} {
		s := newSelector(t, affinity.Config[string]{Failover: policy, Fallback: balance.FillFirst[string]()})
		next := func() *extract.Request { return body(`{"previous_response_id":"resp_1","input":"x"}`) }
		learned := mustSelect(t, s, session("s"), "z")
		learned.Learn("resp_1")
		for range 2 { // a retry finds it as it is
			away := mustSelect(t, s, next(), "a", "b")
			require.Equal(t, affinity.ReasonFailover, away.Reason)
			require.Equal(t, "z", away.From)
			require.Equal(t, learned.Session, away.Session)
			away.Done(affinity.OutcomeOf(404, nil))
		}
		back := mustSelect(t, s, next(), "a", "b", "z")
		require.Equal(t, affinity.ReasonBound, back.Reason)
		require.Equal(t, "z", back.Target)
	}
}

// A second place of a session that was named by state is not that of the state, which was learned
// since and ends before it.
func TestStateHasNoSecondPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := affinity.Config[string]{Failover: affinity.FailoverReturn}
		s := newSelector(t, cfg)
		next := func() *extract.Request { return body(`{"previous_response_id":"resp_1","input":"x"}`) }
		for _, target := range []string{"a", "b"} {
			mustSelect(t, s, next(), target).Done(served)
			elapse(time.Second)
		}
		cfg.Cache, cfg.Lifetime = s.Cache(), func(extract.Session) time.Duration { return time.Minute }
		s = newSelector(t, cfg)
		learned := mustSelect(t, s, session("s"), "a")
		learned.Learn("resp_1")
		learned.Done(served)
		before := maps.Collect(s.Cache().All())
		for _, candidates := range [][]string{{"a", "c"}, {"a", "b", "c"}} {
			sel := mustSelect(t, s, next(), candidates...)
			require.Equal(t, []any{"a", affinity.ReasonBound, ""}, []any{sel.Target, sel.Reason, sel.From})
			sel.Done(affinity.Outcome{})
		}
		require.Equal(t, before, maps.Collect(s.Cache().All()))
	})
}

// A request refers to state whether it names a session or not.
func TestStateWithoutASession(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		extractor extract.Extractor
		body      string
	}{
		"a tool's result":      {nil, `{"input":[{"type":"item_reference","id":"state_1"},{"type":"function_call_output","call_id":"c","output":"x"}]}`},
		"cachedContent":        {nil, `{"cachedContent":"state_1","contents":[{"parts":[{"functionResponse":{"name":"f","response":{"x":1}}}]}]}`},
		"previous_response_id": {extract.Header("X-Session-Id"), `{"previous_response_id":"state_1","input":"x"}`},
	} {
		for _, strict := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				s := newSelector(t, affinity.Config[string]{Extractor: tt.extractor, FailPinned: strict, Fallback: balance.FillFirst[string]()})
				require.Equal(t, affinity.ReasonNoSession, mustSelect(t, s, &extract.Request{}, "a", "z").Reason)
				mustSelect(t, s, session("m"), "z").Learn("state_1")
				require.Equal(t, affinity.ReasonNoSession, mustSelect(t, s, &extract.Request{}, "a", "z").Reason)
				require.Equal(t, affinity.ReasonNoSession, mustSelect(t, s, nil, "a", "z").Reason)
				n := s.Cache().Len()
				sel := mustSelect(t, s, body(tt.body), "a", "z")
				require.Equal(t, "z", sel.Target, name)
				require.Equal(t, affinity.ReasonPinned, sel.Reason, name)
				require.Zero(t, sel.Session)
				require.Equal(t, affinity.ReasonPinned, mustSelect(t, s, body(tt.body), "z", "a").Reason, name)
				sel.Done(affinity.Outcome{Result: affinity.TerminalFailure})
				require.Equal(t, n, s.Cache().Len(), name)

				sel2, err := s.Select(t.Context(), body(tt.body), []string{"a"})
				if strict {
					var pinned *affinity.PinnedError
					require.ErrorAs(t, err, &pinned, name)
					require.Equal(t, "z", pinned.Target)
				} else {
					require.NoError(t, err)
					require.Equal(t, affinity.ReasonNoSession, sel2.Reason)
				}
				elapse(affinity.DefaultTTL + time.Hour) // nor has the request that learned it ended
				require.Equal(t, affinity.ReasonNoSession, mustSelect(t, s, body(tt.body), "a").Reason, "what has expired is forgotten")
				mustSelect(t, s, session("m"), "z").Learn("state_1")
				require.NoError(t, s.Close())
				require.Equal(t, affinity.ReasonNoSession, mustSelect(t, s, body(tt.body), "a", "z").Reason, "a closed one follows nothing")
			})
		}
	}
}

// Where a request refers to two states, each counts.
func TestOneOfTwoStatesIsAbsent(t *testing.T) {
	t.Parallel()
	req := body(`{"previous_response_id":"resp_1","input":[{"role":"user","content":[{"type":"input_file","file_id":"file-1234"}]}]}`)
	side := &extract.Request{Method: "POST", Path: "/v1/responses/input_tokens", Body: req.Body}
	for _, strict := range []bool{false, true} {
		for _, req := range []*extract.Request{req, side} {
			s := newSelector(t, affinity.Config[string]{FailPinned: strict})
			mustSelect(t, s, session("m"), "b").Learn("resp_1")
			mustSelect(t, s, session("n"), "a").Learn("file-1234")
			sel, err := s.Select(t.Context(), req, []string{"a", "c"})
			if strict {
				var pinned *affinity.PinnedError
				require.ErrorAs(t, err, &pinned)
				require.Equal(t, "b", pinned.Target)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, "a", sel.Target)
		}
	}
}

// It does not matter which of them goes first. If neither is, the first counts.
func TestTheOtherOfTwoStatesIsAbsent(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{FailPinned: true})
	mustSelect(t, s, session("m"), "a").Learn("resp_1")
	mustSelect(t, s, session("n"), "b").Learn("file-1234")
	req := body(`{"previous_response_id":"resp_1","input":[{"role":"user","content":[{"type":"input_file","file_id":"file-1234"}]}]}`)
	_, err := s.Select(t.Context(), req, []string{"a", "c"})
	var pinned *affinity.PinnedError
	require.ErrorAs(t, err, &pinned)
	require.Equal(t, "b", pinned.Target)
	_, err = s.Select(t.Context(), req, []string{"c"})
	require.ErrorAs(t, err, &pinned)
	require.Equal(t, "a", pinned.Target)
	require.Equal(t, "a", mustSelect(t, s, req, "b", "a").Target)
	require.Equal(t, "a", mustSelect(t, s, req, "a", "b").Target)
}

// What a neighbour has is not what the request refers to.
func TestStateAndANeighbour(t *testing.T) {
	t.Parallel()
	x := new(scripted)
	s := newSelector(t, affinity.Config[string]{FailPinned: true, Extractor: x})
	x.now = extract.Session{Source: "x", ID: "1"}
	mustSelect(t, s, new(extract.Request), "a")
	x.now = extract.Session{Source: "x", ID: "2", Near: []string{"1"}}
	sel := mustSelect(t, s, body(`{"input":[{"role":"user","content":[{"type":"input_file","file_id":"file-0123456789abcdef"}]}]}`), "b")
	require.Equal(t, affinity.ReasonNew, sel.Reason)
	require.Empty(t, sel.From)
}

// What one tenant's response was called tells another nothing.
func TestLearnedStateIsTheTenants(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{Tenant: extract.Credential, Fallback: balance.FillFirst[string](), FailPinned: true})
	with := func(key, state string) *extract.Request {
		return &extract.Request{Header: http.Header{"Authorization": {"Bearer " + key}},
			Body: []byte(`{"input":"x","previous_response_id":"` + state + `"}`)}
	}
	sel := mustSelect(t, s, with("alice", "resp_0"), "b")
	sel.Learn("resp_1")
	require.Equal(t, "b", mustSelect(t, s, with("alice", "resp_1"), "a", "b").Target)
	theirs := mustSelect(t, s, with("mallory", "resp_1"), "a", "b")
	require.Equal(t, "a", theirs.Target)
	require.NotEqual(t, sel.Session, theirs.Session)
	require.NotContains(t, fmt.Sprintf("%+v %#v", sel, sel), "alice", "a Selection does not give the credential away")
}

func TestLearnIgnoresWhatIsNoID(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{})
	sel := mustSelect(t, s, session("s"), "a")
	n := s.Cache().Len()
	for _, id := range []string{"", "null", "a\nb"} {
		sel.Learn(id)
	}
	new(affinity.Selection[string]).Learn("resp_1")
	require.Equal(t, n, s.Cache().Len())
	mustSelect(t, s, nil, "a").Learn("resp_1")
	require.Equal(t, n+1, s.Cache().Len(), "also from a request without a session")
}

// Tenants who send the same ids share nothing, and cannot release what is not
// theirs.
func TestTenantsAreApart(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{Tenant: extract.Credential})
	with := func(header, key string) *extract.Request {
		return &extract.Request{Header: http.Header{header: {key}, "X-Session-Id": {"guessed"}}}
	}
	first := mustSelect(t, s, with("Authorization", "Bearer k1"), "a", "b")
	for _, req := range []*extract.Request{with("Authorization", "Bearer k2"), with("X-Api-Key", "k3"), session("guessed")} {
		require.Equal(t, affinity.ReasonNew, mustSelect(t, s, req, "a", "b").Reason)
		require.True(t, s.Invalidate(req))
	}
	again := mustSelect(t, s, with("Authorization", "Bearer k1"), "a", "b")
	require.Equal(t, affinity.ReasonBound, again.Reason)
	require.Equal(t, first.Session, again.Session)
	require.Equal(t, affinity.ReasonBound, mustSelect(t, s, with("X-Api-Key", "k1"), "a", "b").Reason, "the same credential in another header")
}

func TestLifetimeByConfidence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{
			TTL: time.Hour,
			Lifetime: func(s extract.Session) time.Duration {
				if s.Confidence == extract.Derived {
					return time.Minute
				}
				return map[string]time.Duration{"id-less": -1, "id-ever": math.MaxInt64}[s.ID]
			},
		})
		for id, life := range map[string]time.Duration{"none": time.Hour, "less": time.Hour, "ever": 4 * 365 * 24 * time.Hour} {
			mustSelect(t, s, session(id), "a", "b").Done(served)
			b, ok := s.Peek(session(id))
			require.True(t, ok)
			require.Equal(t, life, time.Until(b.Expires), id)
		}
		derived := body(`{"messages":[{"role":"user","content":"hello"}]}`)
		first := mustSelect(t, s, derived, "a", "b")
		require.Equal(t, extract.Derived, first.Confidence)
		first.Done(affinity.Outcome{})
		require.Equal(t, extract.Explicit, mustSelect(t, s, session("s"), "a", "b").Confidence)
		elapse(time.Minute - 1)
		sel := mustSelect(t, s, derived, "a", "b")
		require.Equal(t, affinity.ReasonBound, sel.Reason)
		elapse(time.Minute - 1)
		sel.Done(affinity.Outcome{Result: affinity.Served})
		elapse(time.Minute - 1)
		sel = mustSelect(t, s, derived, "a", "b")
		require.Equal(t, affinity.ReasonBound, sel.Reason)
		sel.Done(affinity.Outcome{Result: affinity.Neutral})
		elapse(time.Minute)
		require.Equal(t, affinity.ReasonNew, mustSelect(t, s, derived, "a", "b").Reason)
		require.Equal(t, affinity.ReasonBound, mustSelect(t, s, session("s"), "a", "b").Reason)
	})
}

// A constant prompt_cache_key is noticed; one conversation of many turns is not.
func TestManyConversationsBehindOneID(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{})
	ask := func(key, messages string) *affinity.Selection[string] {
		return mustSelect(t, s, body(`{"prompt_cache_key":"`+key+`","messages":[`+messages+`]}`), "a", "b")
	}
	const turn = `{"role":"user","content":"question %d"}`
	messages := fmt.Sprintf(turn, 0)
	for i := range 100 {
		require.Equal(t, 1, ask("one-conversation", messages).Conversations)
		messages += `,{"role":"assistant","content":"answer"},` + fmt.Sprintf(turn, i+1)
	}
	for i := range 30 {
		sel := ask("constant", fmt.Sprintf(turn, i))
		require.InDelta(t, i+1, sel.Conversations, 3+float64(i)/3)
		require.Equal(t, "prompt_cache_key", sel.Source, "few have it")
	}
	for i := range 10 { // what shows none counts for none
		require.Zero(t, mustSelect(t, s, body(fmt.Sprintf(`{"prompt_cache_key":"shows-none","previous_response_id":"resp_%d"}`, i)), "a", "b").Conversations)
	}
	require.Zero(t, mustSelect(t, s, session("explicit"), "a", "b").Conversations)
	require.Zero(t, mustSelect(t, s, body(`{"conversation_id":"explicit","messages":[`+messages+`]}`), "a", "b").Conversations)
}

// An id that very many conversations have names none of them: they do not all go to one target, and
// each stays where it is. A delta shows no conversation, and goes by the id as before if its
// state is not known either.
func TestVeryManyConversationsBehindOneID(t *testing.T) {
	long(t)
	t.Parallel()
	targets := []string{"a", "b", "c", "d"}
	for name, test := range map[string]struct {
		extractor extract.Extractor
		apart     bool
	}{
		"by default": {nil, true}, "classic": {extract.Classic(), true}, "in a Chain of another": {extract.Chain{extract.Header("X-Ours"), extract.Default()}, true},
		"without Trail": {extract.Chain{extract.BodyIDs(), extract.UserID()}, false},
	} {
		s := newSelector(t, affinity.Config[string]{Extractor: test.extractor, Fallback: balance.RoundRobin[string]()})
		ask := func(i, turn int) *affinity.Selection[string] {
			messages := fmt.Sprintf(`{"role":"user","content":"question %d"}`, i)
			for n := range turn {
				messages += fmt.Sprintf(`,{"role":"assistant","content":"x"},{"role":"user","content":"and %d of %d?"}`, n, i)
			}
			return mustSelect(t, s, body(`{"metadata":{"user_id":"app"},"messages":[`+messages+`]}`), targets...)
		}
		count := map[string]int{}
		for i := range 400 {
			ask(i, 0)
		}
		for i := range 400 {
			at := ask(i, 1)
			count[at.Target]++
			require.Greater(t, at.Conversations, 64, "it is still told")
			require.Equal(t, at.Target, ask(i, 2).Target, name)
		}
		delta := mustSelect(t, s, body(`{"metadata":{"user_id":"app"},"context":[1,2],"prompt":"more"}`), targets...)
		require.Equal(t, "metadata.user_id", delta.Source)
		require.Greater(t, delta.Conversations, 64)
		if !test.apart {
			require.Len(t, count, 1, name)
			continue
		}
		for _, target := range targets {
			require.InDelta(t, 100, count[target], 50, name)
		}
	}
}

// Where an id names no conversation, one that the server keeps goes on where its state is, if that
// is known. Otherwise the id is the best guess.
func TestVeryManyConversationsOnTheServer(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{Fallback: balance.RoundRobin[string]()})
	targets := []string{"a", "b", "c", "d"}
	ask := func(input, more string) *affinity.Selection[string] {
		return mustSelect(t, s, body(`{"prompt_cache_key":"my-app","input":"`+input+`"`+more+`}`), targets...)
	}
	count := map[string]int{}
	for i := range 200 {
		last := ask(fmt.Sprint("question ", i), "")
		first, session := last.Target, last.Session
		count[first]++
		for turn := range 3 {
			id := fmt.Sprintf("resp_%d_%d", i, turn)
			last.Learn(id)
			last = ask("go on", `,"previous_response_id":"`+id+`"`)
			require.Equal(t, first, last.Target, i)
			require.Equal(t, session, last.Session)
		}
	}
	for _, target := range targets { // who begins, goes on from no state
		require.Greater(t, count[target], 20)
	}
	home := ask("go on", `,"previous_response_id":"resp_unknown_1"`)
	require.Equal(t, "prompt_cache_key", home.Source)
	require.Equal(t, home.Target, ask("go on", `,"previous_response_id":"resp_unknown_2"`).Target)

	mustSelect(t, s, body(`{"input":"go on","previous_response_id":"resp_unknown_3"}`), targets...) // a session of that name
	require.Equal(t, home.Session, ask("go on", `,"previous_response_id":"resp_unknown_3"`).Session)
}

// What is known of ids that very many conversations have in common belongs to the Cache, with
// the bindings that come of it.
func TestVeryManyConversationsOfAnEarlierSelector(t *testing.T) {
	t.Parallel()
	targets := []string{"a", "b", "c", "d"}
	cache := newCache(t, affinity.CacheConfig{})
	create := func() *affinity.Selector[string] {
		return newSelector(t, affinity.Config[string]{Cache: cache, Fallback: balance.RoundRobin[string]()})
	}
	ask := func(s *affinity.Selector[string], i int) *affinity.Selection[string] {
		return mustSelect(t, s, body(fmt.Sprintf(`{"prompt_cache_key":"my-app","input":"question %d"}`, i)), targets...)
	}
	s := create()
	for i := range 300 {
		ask(s, i)
	}
	next := create()
	for i := range 100 {
		require.Equal(t, ask(s, 200+i).Target, ask(next, 200+i).Target)
	}
}

// Side calls and sub-agents that only their bodies tell apart do not count as conversations.
func TestConversationsWithoutSideCalls(t *testing.T) {
	t.Parallel()
	for _, beside := range []bool{false, true} {
		s := newSelector(t, affinity.Config[string]{SideCalls: beside})
		ask := func(system, question string) *affinity.Selection[string] {
			return mustSelect(t, s, body(`{"prompt_cache_key":"conversation-1","messages":[{"role":"system","content":"`+system+`"},{"role":"user","content":"`+question+`"}]}`), "a", "b")
		}
		ask("You are helpful.", "Where is Oslo?")
		for i := range 100 {
			ask("You are a title generator. You output ONLY a thread title. Nothing else.", fmt.Sprint("question ", i))
			ask("You are a sub-agent.", fmt.Sprint("task ", i))
		}
		require.Equal(t, 1, ask("You are helpful.", "Where is Oslo?").Conversations)
	}
}

// Nothing is bound to a target without an ID: another such target would be taken for it.
func TestLearnOfATargetWithoutAnID(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{ID: func(string) string { return "" }})
	sel, err := s.Select(t.Context(), nil, []string{"a"})
	require.NoError(t, err)
	sel.Learn("resp_1")
	require.Zero(t, s.Cache().Len())
}

// A token count holds some part of a conversation, or none of it.
func TestSideCallsAreNoConversations(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{})
	ask := func(path, text string) int {
		req := body(`{"prompt_cache_key":"key-of-one","messages":[{"role":"user","content":"` + text + `"}]}`)
		req.Path = path
		return mustSelect(t, s, req, "a", "b").Conversations
	}
	require.Equal(t, 1, ask("/v1/messages", "question"))
	for i := range 30 {
		require.Equal(t, 1, ask("/v1/messages/count_tokens", fmt.Sprint("part ", i)))
	}
	require.Equal(t, 1, ask("/v1/messages", "question"))
}

const fileID = "file-0123456789abcdef"

// withFile is a request of the session that refers to a file.
func withFile(id string) *extract.Request {
	r := session(id)
	r.Body = []byte(`{"input":[{"role":"user","content":[{"type":"input_file","file_id":"` + fileID + `"}]}]}`)
	return r
}

// With FailPinned, state that is known goes before the session's own binding.
func TestStateOfABoundSession(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{Fallback: balance.FillFirst[string](), FailPinned: true})
	mustSelect(t, s, session("x"), "a", "c")
	require.Equal(t, "a", mustSelect(t, s, withFile("x"), "a", "c").Target, "nobody knows better")
	mustSelect(t, s, &extract.Request{Method: "POST", Path: "/v1/files"}, "c").Learn(fileID)
	_, err := s.Select(t.Context(), withFile("x"), []string{"a", "b"})
	var pinned *affinity.PinnedError
	require.ErrorAs(t, err, &pinned)
	require.Equal(t, "c", pinned.Target)
	sel := mustSelect(t, s, withFile("x"), "a", "b", "c")
	require.Equal(t, []any{"c", affinity.ReasonPinned, "a"}, []any{sel.Target, sel.Reason, sel.From})
	require.Equal(t, affinity.ReasonBound, mustSelect(t, s, withFile("x"), "a", "b", "c").Reason)

	// Without it, the binding is the answer, and no body is read.
	s = newSelector(t, affinity.Config[string]{Fallback: balance.FillFirst[string]()})
	mustSelect(t, s, session("x"), "a", "c")
	mustSelect(t, s, &extract.Request{Method: "POST", Path: "/v1/files"}, "c").Learn(fileID)
	require.Equal(t, "a", mustSelect(t, s, withFile("x"), "a", "b", "c").Target)
}

// A side call goes to the state that it refers to.
func TestStateOfASideCall(t *testing.T) {
	t.Parallel()
	for _, strict := range []bool{false, true} {
		for _, named := range []bool{false, true} {
			s := newSelector(t, affinity.Config[string]{Fallback: balance.FillFirst[string](), FailPinned: strict})
			mustSelect(t, s, session("maker"), "c").Learn("resp_0123456789abcdef")
			compaction := func() *extract.Request {
				r := session("elsewhere")
				if !named {
					r.Header = nil
				}
				r.Method, r.Path = "POST", "/v1/responses/compact"
				r.Body = []byte(`{"model":"m","previous_response_id":"resp_0123456789abcdef","input":"x"}`)
				return r
			}
			sel := mustSelect(t, s, compaction(), "a", "b", "c")
			require.Equal(t, "c", sel.Target)
			require.Equal(t, named, sel.Reason == affinity.ReasonPinned, "else that is its home")
			_, err := s.Select(t.Context(), compaction(), []string{"a", "b"})
			require.Equal(t, strict, err != nil, "%v", err)
		}
	}
}

// Where the home of a session is there, a side call that refers to state elsewhere goes there as
// a turn does, however long the session has paused.
func TestSideCallsGoHomeBeforeState(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Fallback: balance.FillFirst[string]()})
		teach(t, s, "a")
		mustSelect(t, s, session("s"), "a").Done(served)
		mustSelect(t, s, session("other"), "b").Learn("resp_1")
		for range 2 {
			elapse(6 * time.Minute)
			for _, method := range []string{http.MethodHead, http.MethodPost} {
				req := session("s")
				req.Method, req.Body = method, []byte(`{"previous_response_id":"resp_1"}`)
				require.Equal(t, "a", mustSelect(t, s, req, "b", "a").Target, method)
			}
		}
	})
}

// What a side call refers to is taken to be at the home of its session, too, where nobody
// has told of it.
func TestUnknownStateOfASideCall(t *testing.T) {
	t.Parallel()
	each(t, policies, func(t *testing.T, policy affinity.FailoverPolicy) {
		call := func() *extract.Request {
			r := withFile("x")
			r.Method, r.Path = "POST", "/v1/messages/count_tokens"
			return r
		}
		strict := newSelector(t, affinity.Config[string]{FailPinned: true, Failover: policy})
		mustSelect(t, strict, session("x"), "a").Done(served)
		before := mustPeek(t, strict, session("x"))
		_, err := strict.Select(t.Context(), call(), []string{"b"})
		var pinned *affinity.PinnedError
		require.ErrorAs(t, err, &pinned)
		require.Equal(t, "a", pinned.Target)
		require.Equal(t, before, mustPeek(t, strict, session("x")))
		require.Equal(t, "a", mustSelect(t, strict, call(), "b", "a").Target)

		lax := newSelector(t, affinity.Config[string]{Failover: policy})
		mustSelect(t, lax, session("x"), "a").Done(served)
		require.Equal(t, "b", mustSelect(t, lax, call(), "b").Target)
	})
}

// A session whose request refers to state does not leave its home of its own
// accord, though nobody has said where that state is.
func TestStateKeepsASessionAtHome(t *testing.T) {
	t.Parallel()
	t.Run("its prompt has gone from the cache", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := newSelector(t, affinity.Config[string]{})
			for k := range 12 { // both targets keep prompts for five minutes
				id := fmt.Sprint("teach", k)
				for _, cached := range []int{0, 90000} {
					mustSelect(t, s, session(id), "a", "b").Done(tokens(cached, 100000-cached))
					elapse(time.Second)
				}
				elapse(6 * time.Minute)
				mustSelect(t, s, session(id), "a", "b").Done(tokens(0, 100000))
			}
			expired := 0
			for k := range 20 {
				home := mustSelect(t, s, session(fmt.Sprint("s", k)), "a", "b")
				home.Done(tokens(0, 5000))
				other := mustSelect(t, s, session(fmt.Sprint("other", k)), "a", "b")
				other.Done(tokens(0, 5000))
				elapse(10 * time.Minute)
				kept := mustSelect(t, s, withFile(fmt.Sprint("s", k)), "a", "b")
				require.Equal(t, []any{home.Target, affinity.ReasonBound}, []any{kept.Target, kept.Reason})
				if mustSelect(t, s, session(fmt.Sprint("other", k)), "a", "b").Reason == affinity.ReasonExpired {
					expired++
				}
			}
			require.NotZero(t, expired)
		})
	})
	t.Run("its home is overloaded", func(t *testing.T) {
		t.Parallel()
		a := newAuditor(t)
		s := newSelector(t, affinity.Config[string]{Fallback: a})
		plain := `{"messages":[{"role":"user","content":[{"type":"text","text":"look at this"}`
		file := plain + `,{"type":"file","file":{"file_id":"` + fileID + `"}}]}]}`
		for _, test := range []struct {
			body   string
			reason affinity.Reason
		}{{file, affinity.ReasonBound}, {plain + `]}]}`, affinity.ReasonOverload}} {
			a.overload()
			home := mustSelect(t, s, body(test.body), "a", "b")
			home.Done(served)
			a.overload(home.Target)
			sel := mustSelect(t, s, body(test.body), "a", "b")
			sel.Done(served)
			require.Equal(t, test.reason, sel.Reason)
		}
	})
}
