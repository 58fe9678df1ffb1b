package affinity_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
	"github.com/go-affinity/affinity/extract"
)

// auditor is a Balancer that holds a Selector to the protocol: each ticket is
// settled at most once, and with the ID of the target that it was for. It
// chooses prefer, or else the first candidate.
type auditor struct {
	t          testing.TB
	mu         sync.Mutex
	tickets    uint64
	open       map[affinity.Ticket]string
	calls      []string // what it was told, in its own words
	outcomes   []affinity.Outcome
	prefer     string
	overloaded map[string]bool
	err        error
	stray      string // what it answers with, candidate or not
	wait       time.Duration
}

var _ affinity.Balancer[string] = (*auditor)(nil)

func newAuditor(t testing.TB) *auditor {
	return &auditor{t: t, open: map[affinity.Ticket]string{}, overloaded: map[string]bool{}}
}

func (a *auditor) ticket(id string) affinity.Ticket {
	a.tickets++
	ticket := affinity.Ticket{Time: int64(a.tickets), Cost: float64(a.tickets) / 2}
	a.open[ticket] = id
	return ticket
}

func (a *auditor) Pick(context.Context, *extract.Request, []string) (string, error) {
	a.t.Error("Pick of a Balancer was called")
	return "", errors.New("no")
}

func (a *auditor) Place(_ context.Context, _ *extract.Request, candidates []string) (string, affinity.Ticket, error) {
	if a.wait > 0 {
		elapse(a.wait)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		a.calls = append(a.calls, "place: "+a.err.Error())
		return "", affinity.Ticket{}, a.err
	}
	target := candidates[0]
	if a.stray != "" {
		target = a.stray
	} else if a.prefer == "?" {
		target = candidates[rand.IntN(len(candidates))]
	} else if slices.Contains(candidates, a.prefer) {
		target = a.prefer
	}
	a.calls = append(a.calls, fmt.Sprint("place ", target, " of ", candidates))
	return target, a.ticket(target), nil
}

func (a *auditor) Charge(_ *extract.Request, id string, warm bool) affinity.Ticket {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, fmt.Sprint("charge ", id, map[bool]string{true: " warm", false: " cold"}[warm]))
	return a.ticket(id)
}

func (a *auditor) Settle(id string, ticket affinity.Ticket, o affinity.Outcome) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if was, ok := a.open[ticket]; !ok || was != id {
		a.t.Errorf("ticket %v of %q was settled as one of %q", ticket, was, id)
	}
	delete(a.open, ticket)
	a.calls = append(a.calls, "settle "+id)
	a.outcomes = append(a.outcomes, o)
}

// Cancel counts as the end of a ticket like Settle.
func (a *auditor) Cancel(id string, ticket affinity.Ticket) {
	a.Settle(id, ticket, affinity.Outcome{})
}

func (a *auditor) Overloaded(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.overloaded[id]
}

func (a *auditor) overload(ids ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.overloaded)
	for _, id := range ids {
		a.overloaded[id] = true
	}
}

func (a *auditor) failWith(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = err
}

// heard returns what it was told since the last time.
func (a *auditor) heard() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	calls := a.calls
	a.calls = nil
	return calls
}

// meanwhile is an auditor whose first Place takes as long as do does.
type meanwhile struct {
	*auditor
	do func()
}

func (m *meanwhile) Place(ctx context.Context, req *extract.Request, candidates []string) (string, affinity.Ticket, error) {
	if do := m.do; do != nil {
		m.do = nil
		do()
	}
	return m.auditor.Place(ctx, req, candidates)
}

// If a session turns out to be elsewhere when it has been placed, the ticket is given back.
func TestPlacedElsewhereGivesTheTicketBack(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(sel *affinity.Selection[string]){
		"it goes on at its second place": nil,
		"what it refers to is elsewhere": func(sel *affinity.Selection[string]) { sel.Learn("resp_1") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := &meanwhile{auditor: newAuditor(t)}
				s := newSelector(t, affinity.Config[string]{Fallback: m, FailPinned: true})
				other := newSelector(t, affinity.Config[string]{Cache: s.Cache(), Fallback: balance.FillFirst[string](), Failover: affinity.FailoverReturn})
				req := session("s")
				req.Body = []byte(`{"previous_response_id":"resp_1"}`)
				if do == nil {
					req.Body = nil
				}
				m.do = func() {
					home := mustSelect(t, other, session("s"), "d")
					if do != nil {
						do(home)
					}
					home.Done(served)
					elapse(time.Second)
					mustSelect(t, other, session("s"), "c").Done(served)
				}
				sel, err := s.Select(t.Context(), req, []string{"e", "c"})
				if do == nil {
					require.NoError(t, err)
					require.Equal(t, "c", sel.ID)
					require.Equal(t, []string{"place e of [e c]", "settle e", "charge c warm"}, m.heard())
				} else {
					require.ErrorContains(t, err, "d")
				}
				sel.Done(served)
				require.Empty(t, m.open)
			})
		})
	}
}

func TestBalancerIsTold(t *testing.T) {
	t.Parallel()
	each(t, policies, func(t *testing.T, p affinity.FailoverPolicy) {
		a := newAuditor(t)
		s := newSelector(t, affinity.Config[string]{Fallback: a, Failover: p})
		expect := func(req *extract.Request, candidates []string, want ...string) {
			t.Helper()
			sel := mustSelect(t, s, req, candidates...)
			require.Equal(t, want, a.heard())
			require.Len(t, a.open, 1)
			sel.Done(tokens(7, 8))
			sel.Done(tokens(9, 9))
			require.Equal(t, []string{"settle " + sel.ID}, a.heard())
			require.Equal(t, tokens(7, 8), a.outcomes[len(a.outcomes)-1])
			require.Empty(t, a.open)
			elapse(time.Second)
		}
		side := session("s")
		side.Path = "/v1/messages/count_tokens"
		expect(nil, []string{"a", "b"}, "place a of [a b]")
		expect(side, []string{"a", "b"}, "place a of [a b]")
		expect(session("s"), []string{"a", "b"}, "place a of [a b]")
		expect(session("s"), []string{"b", "a"}, "charge a warm")
		expect(side, []string{"b", "a"}, "charge a warm")
		expect(session("s"), []string{"b", "c"}, "place b of [b c]")
		expect(session("s"), []string{"c", "b"}, "charge b warm")
		if p == affinity.FailoverReturn {
			elapse(5 * time.Minute)
			expect(session("s"), []string{"c", "b", "a"}, "charge b warm") // it is not its turn yet
			elapse(5 * time.Minute)
		}
		expect(session("s"), []string{"c", "a"}, "charge a warm") // where it was before
		expect(chatTurn(1, 1), []string{"a"}, "place a of [a]")
		expect(chatTurn(1, 2), []string{"b", "a"}, "charge a warm")
		expect(chatTurn(1, 3), []string{"b"}, "place b of [b]")
		expect(chatTurn(1, 4), []string{"b", "c"}, "charge b warm") // its new home, or the detour
		expect(chatTurn(1, 5), []string{"a", "c"}, "charge a warm") // back
		expect(chatTurn(1, 6), []string{"b", "c"}, "charge b warm") // and forth
		expect(claudeAgent("s1", "", ""), []string{"a"}, "place a of [a]")
		expect(claudeAgent("s1", "agent-1", ""), []string{"b", "a"}, "charge a cold") // a prompt of its own
		mustSelect(t, s, session("maker"), "b").Learn("resp_1")
		a.heard()
		clear(a.open)
		pinned := session("p")
		pinned.Body = []byte(`{"input":"x","previous_response_id":"resp_1"}`)
		expect(pinned, []string{"a", "b"}, "charge b warm")
		expect(body(string(pinned.Body)), []string{"a", "b"}, "charge b warm") // the state is all that names it
		mustSelect(t, s, session("u"), "b").Done(served)
		a.heard()
		pinned.Header = session("u").Header
		expect(pinned, []string{"a", "b"}, "charge b warm")
		side = claudeAgent("s1", "agent-2", "")
		side.Path = "/v1/messages/count_tokens"
		expect(side, []string{"b", "a"}, "charge a cold") // where the thread would start
		mustSelect(t, s, session("maker"), "a").Learn("resp_2")
		a.heard()
		clear(a.open)
		thread := claudeAgent("s1", "agent-3", "")
		thread.Body = []byte(`{"previous_response_id":"resp_2"}`)
		expect(thread, []string{"b", "a"}, "charge a warm") // and so is its state
	})
}

// A session that is placed anew where it was has the ticket of that, and no other.
func TestPlacedWhereItWas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAuditor(t)
		s := newSelector(t, affinity.Config[string]{Fallback: a})
		teach(t, s, "a")
		a.prefer = "a"
		expired := 0
		for n := range 40 {
			mustSelect(t, s, session(fmt.Sprint(n)), "a").Done(served)
			elapse(10 * time.Minute)
			a.heard()
			sel := mustSelect(t, s, session(fmt.Sprint(n)), "b", "a")
			if sel.Reason == affinity.ReasonExpired {
				expired++
				require.Equal(t, []string{"place a of [b a]"}, a.heard())
			}
			sel.Done(served)
			require.Empty(t, a.open)
		}
		require.Greater(t, expired, 20)
	})
}

// A conversation that returns finds its prompt, whatever key its turn has.
func TestReturnIsWarm(t *testing.T) {
	t.Parallel()
	each(t, conversations, func(t *testing.T, turn func(n, i int) *extract.Request) {
		a := newAuditor(t)
		s := newSelector(t, affinity.Config[string]{Fallback: a, Failover: affinity.FailoverReturn})
		for i, candidates := range [][]string{{"a"}, {"b"}, {"a", "b"}} {
			a.heard()
			mustSelect(t, s, turn(1, i+1), candidates...)
			elapse(time.Second)
		}
		require.Equal(t, []string{"charge a warm"}, a.heard())
	})
}

// A thread has a prompt of its own, also where it starts at the second place of its session.
func TestThreadAtTheSecondPlaceIsCold(t *testing.T) {
	t.Parallel()
	a := newAuditor(t)
	s := newSelector(t, affinity.Config[string]{Fallback: a})
	for _, target := range []string{"b", "a"} {
		mustSelect(t, s, claudeAgent("s1", "", ""), target)
	}
	a.heard()
	require.Equal(t, "b", mustSelect(t, s, claudeAgent("s1", "agent-1", ""), "0", "b").Target)
	require.Equal(t, []string{"charge b cold"}, a.heard())
}

// Errors are handed on, and leave no ticket open.
func TestBalancerFails(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	a := newAuditor(t)
	s := newSelector(t, affinity.Config[string]{Fallback: a})
	a.err = boom
	for _, req := range []*extract.Request{nil, session("s"), chatTurn(1, 1)} {
		sel, err := s.Select(t.Context(), req, []string{"a"})
		require.ErrorIs(t, err, boom)
		sel.Done(served)
	}
	require.Zero(t, s.Cache().Len())
	require.Len(t, a.heard(), 3)
	a.err = nil
	_, err := s.Select(t.Context(), session("s"), []string{""})
	require.ErrorIs(t, err, affinity.ErrNoID)
	require.Empty(t, a.open, "what was placed and cannot be bound is settled")
	a.stray = "elsewhere"
	_, err = s.Select(t.Context(), session("s"), []string{"a"})
	require.ErrorIs(t, err, affinity.ErrNotCandidate)
	require.ErrorContains(t, err, `"elsewhere"`, "it says which")
	require.Empty(t, a.open)
	require.Zero(t, s.Cache().Len())
}

// Pick charges and never settles: its callers do not tell.
func TestPickIsCharged(t *testing.T) {
	t.Parallel()
	a := newAuditor(t)
	s := newSelector(t, affinity.Config[string]{Fallback: a})
	for range 3 {
		_, err := s.Pick(t.Context(), session("s"), []string{"a", "b"})
		require.NoError(t, err)
	}
	require.Equal(t, []string{"place a of [a b]", "charge a warm", "charge a warm"}, a.heard())
}

// A detour that is chosen once more by the Balancer is paid for once.
func TestDetourChosenAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAuditor(t)
		s := newSelector(t, affinity.Config[string]{Fallback: a, Failover: affinity.FailoverReturn})
		teach(t, s, "b")
		for i := range 32 {
			mustSelect(t, s, session(fmt.Sprint(i)), "a").Done(served)
		}
		elapse(time.Second)
		for i := range 32 {
			mustSelect(t, s, session(fmt.Sprint(i)), "b").Done(served)
		}
		elapse(10 * time.Minute) // b has nothing any more
		for i := range 32 {
			sel := mustSelect(t, s, session(fmt.Sprint(i)), "b")
			require.Len(t, a.open, 1)
			sel.Done(served)
			require.Empty(t, a.open)
		}
	})
}

// Whatever happens, and however many do it at once, every ticket is settled once.
func TestTicketsUnderFire(t *testing.T) {
	t.Parallel()
	for policy, p := range policies {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			a := newAuditor(t)
			a.prefer = "?"
			s := newSelector(t, affinity.Config[string]{Fallback: a, Failover: p, Capacity: 300})
			all := []string{"a", "b", "c", "d", "e"}
			var wg sync.WaitGroup
			for g := range 8 {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(g), 4))
					for i := range 400 {
						req := []*extract.Request{nil, session(fmt.Sprint(rng.IntN(10))), chatTurn(rng.IntN(5), 1+rng.IntN(3)),
							claudeAgent("s1", []string{"", "agent-1"}[rng.IntN(2)], "")}[rng.IntN(4)]
						sel, err := s.Select(context.Background(), req, all[rng.IntN(4):])
						if err != nil {
							t.Error(err)
						}
						switch i % 40 {
						case 0:
							a.overload(all[rng.IntN(5)], all[rng.IntN(5)])
						case 10:
							s.Drain(all[rng.IntN(5)], time.Time{})
						case 20:
							s.Resume(all[rng.IntN(5)])
						case 30:
							s.InvalidateTarget(all[rng.IntN(5)])
						}
						sel.Done(affinity.Outcome{Result: affinity.Result(rng.IntN(4)), Usage: affinity.Usage{Cached: rng.IntN(9000), Uncached: rng.IntN(9000)}})
					}
				})
			}
			wg.Wait()
			require.Empty(t, a.open)
		})
	}
}

// Of requests that place one session at once, those who come too late are
// refunded.
func TestLostRaceIsRefunded(t *testing.T) {
	t.Parallel()
	each(t, policies, func(t *testing.T, p affinity.FailoverPolicy) {
		a := newAuditor(t)
		a.prefer, a.wait = "?", time.Second
		s := newSelector(t, affinity.Config[string]{Fallback: a, Failover: p})
		mustSelect(t, s, session("s"), "0").Done(served)
		elapse(time.Second)
		a.heard()
		// The first is placed where the others may not go. They do not
		// wait for each other, so all are placed at once.
		var wg sync.WaitGroup
		wg.Go(func() {
			sel, err := s.Select(t.Context(), session("s"), []string{"a"})
			if err != nil {
				t.Error(err)
			}
			sel.Done(served)
		})
		synctest.Wait()
		var mu sync.Mutex
		places := map[string]int{}
		for range 10 {
			wg.Go(func() {
				sel, err := s.Select(t.Context(), session("s"), []string{"b", "c", "d"})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				places[sel.ID]++
				mu.Unlock()
				sel.Done(served)
			})
		}
		wg.Wait()
		require.Len(t, places, 1)
		require.Empty(t, a.open)
		settled := 0
		for _, call := range a.heard() {
			if len(call) > 6 && call[:6] == "settle" {
				settled++
			}
		}
		require.Equal(t, 11+9, settled, "nine were refunded")
	})
}

// A conversation that is known by its messages leaves a target that has more
// than its share, one in thirty seconds.
func TestOverload(t *testing.T) {
	t.Parallel()
	for policy, p := range policies {
		for _, newTurn := range []bool{false, true} {
			t.Run(fmt.Sprint(policy, " new turn ", newTurn), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					a := newAuditor(t)
					s := newSelector(t, affinity.Config[string]{Fallback: a, Failover: p})
					for i := range 20 {
						mustSelect(t, s, chatTurn(i, 1), "a").Done(served)
						mustSelect(t, s, session(fmt.Sprint(i)), "a").Done(served)
						mustSelect(t, s, claudeAgent(fmt.Sprint("s", i), "agent-1", ""), "a").Done(served)
					}
					a.overload("a")
					turn := 1
					left := map[int]bool{}
					for round := range 6 { // a minute
						elapse(10 * time.Second)
						if newTurn {
							turn++
						}
						for i := range 20 {
							sel := mustSelect(t, s, chatTurn(i, turn), "a", "b")
							sel.Done(served)
							if sel.Reason == affinity.ReasonOverload {
								require.False(t, left[i])
								require.Equal(t, "b", sel.Target, "its home was not offered")
								require.Equal(t, "a", sel.From)
								require.Zero(t, round%3, "thirty seconds apart")
								left[i] = true
							}
							require.Equal(t, left[i], sel.Target == "b")
							for _, req := range []*extract.Request{session(fmt.Sprint(i)), claudeAgent(fmt.Sprint("s", i), "agent-1", "")} {
								sel := mustSelect(t, s, req, "a", "b")
								require.Equal(t, "a", sel.Target, "a session with an id stays")
								sel.Done(served)
							}
						}
					}
					require.Len(t, left, 2)
					require.Empty(t, a.open)
				})
			})
		}
	}
}

// When nobody is better, nobody moves, nor onto a target that is drained.
func TestOverloadOfAll(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*auditor, *affinity.Selector[string]){
		"all have more than their share": func(a *auditor, _ *affinity.Selector[string]) { a.overload("a", "b", "c") },
		"the others are drained": func(a *auditor, s *affinity.Selector[string]) {
			a.overload("a")
			s.Drain("b", time.Time{})
			s.Drain("c", time.Time{})
		},
	} {
		for _, newTurn := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " ", newTurn), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					a := newAuditor(t)
					a.prefer = "b"
					s := newSelector(t, affinity.Config[string]{Fallback: a})
					mustSelect(t, s, chatTurn(1, 1), "a").Done(served)
					prepare(a, s)
					turn := 1
					for range 10 {
						elapse(time.Minute)
						if newTurn {
							turn++
						}
						sel := mustSelect(t, s, chatTurn(1, turn), "c", "b", "a")
						require.Equal(t, "a", sel.Target)
						require.Contains(t, []affinity.Reason{affinity.ReasonBound, affinity.ReasonInherited}, sel.Reason)
						require.Empty(t, sel.From)
						require.Len(t, a.open, 1)
						sel.Done(served)
						require.Empty(t, a.open)
					}
					if newTurn {
						return
					}
					// It has the same binding still: an outcome of a request under way acts on that.
					late := mustSelect(t, s, chatTurn(1, 1), "c", "b", "a")
					elapse(time.Minute)
					mustSelect(t, s, chatTurn(1, 1), "c", "b", "a")
					late.Done(affinity.Outcome{Result: affinity.TerminalFailure})
					require.Equal(t, affinity.ReasonNew, mustSelect(t, s, chatTurn(1, 1), "a").Reason)
				})
			})
		}
	}
}

// A session that could not leave has its second place still.
func TestOverloadOfAllKeepsTheSecondPlace(t *testing.T) {
	t.Parallel()
	each(t, policies, func(t *testing.T, p affinity.FailoverPolicy) {
		a := newAuditor(t)
		s := newSelector(t, affinity.Config[string]{Fallback: a, Failover: p})
		turn := 0
		ask := func(candidates ...string) string {
			turn++
			sel := mustSelect(t, s, chatTurn(1, turn), candidates...)
			sel.Done(served)
			elapse(time.Second)
			return sel.Target
		}
		ask("a")
		ask("b")
		home, second := ask("c", "a", "b"), "a"
		if home == "a" {
			second = "b"
		}
		a.overload("a", "b", "c")
		require.Equal(t, home, ask("c", "a", "b"))
		require.Equal(t, home, ask("c", "a", "b"))
		require.Equal(t, second, ask("c", second))
	})
}

// One that left for others' sake goes back where it was rather than to a third.
func TestOverloadWithASecondPlace(t *testing.T) {
	t.Parallel()
	each(t, policies, func(t *testing.T, p affinity.FailoverPolicy) {
		a := newAuditor(t)
		s := newSelector(t, affinity.Config[string]{Fallback: a, Failover: p})
		turn := 0
		ask := func() *affinity.Selection[string] {
			turn++
			sel := mustSelect(t, s, chatTurn(1, turn), "a", "c", "b")
			sel.Done(served)
			elapse(time.Minute)
			return sel
		}
		mustSelect(t, s, chatTurn(1, 1), "a").Done(served)
		turn = 1
		elapse(time.Second)
		a.overload("a")
		a.prefer = "b"
		require.Equal(t, affinity.ReasonOverload, ask().Reason)
		require.Equal(t, "b", ask().Target)
		a.overload("b")
		a.prefer = "c"
		a.heard()
		back := ask()
		require.Contains(t, a.heard(), "charge a warm", "its prompt is there")
		require.Equal(t, affinity.ReasonOverload, back.Reason)
		require.Equal(t, "a", back.Target)
		require.Equal(t, "b", back.From)
		a.overload("a", "b")
		require.Equal(t, "a", ask().Target, "and not to c")
		require.Equal(t, "a", mustSelect(t, s, chatTurn(1, turn+1), "a", "c").Target, "nor while b is away")
	})
}

// A session that leaves an overloaded home and fails at the new one for good was never there: it
// stays where it is served then.
func TestOverloadFails(t *testing.T) {
	t.Parallel()
	each(t, policies, func(t *testing.T, p affinity.FailoverPolicy) {
		a := newAuditor(t)
		s := newSelector(t, affinity.Config[string]{Fallback: a, Failover: p})
		mustSelect(t, s, chatTurn(1, 1), "a").Done(served)
		elapse(time.Second)
		a.overload("a")
		a.prefer = "b"
		left := mustSelect(t, s, chatTurn(1, 2), "a", "b", "c")
		require.Equal(t, affinity.ReasonOverload, left.Reason)
		left.Done(affinity.Outcome{Result: affinity.TerminalFailure})
		a.overload()
		again := mustSelect(t, s, chatTurn(1, 2), "a", "c")
		again.Done(served)
		require.Equal(t, "a", again.Target)
		elapse(2 * time.Minute)
		require.Equal(t, "a", mustSelect(t, s, chatTurn(1, 3), "a", "b", "c").Target)
	})
}

// A home that is drained is no second place later, which would keep the session from a third.
func TestOverloadAfterADrain(t *testing.T) {
	t.Parallel()
	each(t, policies, func(t *testing.T, p affinity.FailoverPolicy) {
		a := newAuditor(t)
		s := newSelector(t, affinity.Config[string]{Fallback: a, Failover: p})
		for i, candidates := range [][]string{{"a"}, {"b"}, {"c", "b", "a"}} {
			sel := mustSelect(t, s, chatTurn(1, i+1), candidates...)
			require.Equal(t, candidates[0], sel.Target)
			sel.Done(served)
			elapse(time.Minute)
			s.Drain("a", time.Time{})
			a.overload("b")
		}
	})
}

// A session that starts where a neighbour is does not do so where there is too much already: many may
// have found the same neighbour. It does if it refers to state, which is likely to be there, and a
// session with an id, which a stranger does not have, starts where its parent is.
func TestOverloadedNeighbours(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, target string
		sess         extract.Session
		req          *extract.Request
	}{
		{"a neighbour", "b", extract.Session{Confidence: extract.Derived, Near: []string{"1"}}, new(extract.Request)},
		{"with state", "a", extract.Session{Confidence: extract.Derived, Near: []string{"1"}}, body(`{"previous_response_id":"resp_1"}`)},
		{"an earlier turn", "a", extract.Session{Confidence: extract.Derived, Continues: []string{"1"}}, new(extract.Request)},
		{"a parent", "a", extract.Session{Parent: "1"}, new(extract.Request)},
		{"a side call", "a", extract.Session{Confidence: extract.Derived, Near: []string{"1"}, Class: extract.Auxiliary}, new(extract.Request)},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := newAuditor(t)
			a.prefer = "b"
			x := new(scripted)
			s := newSelector(t, affinity.Config[string]{Fallback: a, Extractor: x})
			x.now = extract.Session{Source: "x", ID: "1", Confidence: extract.Derived}
			mustSelect(t, s, new(extract.Request), "a").Done(served)
			a.overload("a")
			mustSelect(t, s, new(extract.Request), "a", "b").Done(served) // nobody else leaves for a while
			x.now = extract.Session{Source: "x", ID: "1", Confidence: extract.Explicit}
			s.Invalidate(new(extract.Request))
			mustSelect(t, s, new(extract.Request), "a").Done(served)
			x.now = test.sess
			x.now.Source, x.now.ID = "x", "2"
			require.Equal(t, test.target, mustSelect(t, s, test.req, "a", "b").Target, test.name)
			a.overload()
			x.now.ID = "3"
			require.Equal(t, "a", mustSelect(t, s, test.req, "a", "b").Target, test.name)
		})
	}
}

// Side calls do not make a session leave.
func TestSideCallsDoNotLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAuditor(t)
		a.prefer = "b"
		x := new(scripted)
		s := newSelector(t, affinity.Config[string]{Fallback: a, Extractor: x})
		x.now = extract.Session{Source: "x", ID: "1", Confidence: extract.Derived}
		mustSelect(t, s, new(extract.Request), "a").Done(served)
		a.overload("a")
		x.now.Class = extract.Compaction
		require.Equal(t, "a", mustSelect(t, s, new(extract.Request), "a", "b").Target)
		x.now.Class = 0
		require.Equal(t, affinity.ReasonOverload, mustSelect(t, s, new(extract.Request), "a", "b").Reason)
	})
}

// One that only its body tells apart does not either.
func TestSideCallsByTheirBodyDoNotLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAuditor(t)
		s := newSelector(t, affinity.Config[string]{Fallback: a})
		mustSelect(t, s, body(`{"messages":[{"role":"user","content":"hello"}]}`), "a").Done(served)
		elapse(time.Second)
		a.overload("a")
		title := body(`{"messages":[{"role":"user","content":"hello"},{"role":"assistant","content":"hi"},` +
			`{"role":"user","content":"Please write a 5-10 word title for the following conversation:"}]}`)
		require.Equal(t, "a", mustSelect(t, s, title, "b", "a").Target)
		require.Equal(t, affinity.ReasonOverload, mustSelect(t, s, body(`{"messages":[{"role":"user","content":"hello"}]}`), "b", "a").Reason,
			"and it has not used up anybody's turn")
	})
}

// A hit costs no garbage, whoever is told of it.
func TestHitWithABalancerDoesNotAllocate(t *testing.T) {
	for name, p := range policies {
		for fallback, f := range map[string]affinity.Picker[string]{"round robin": balance.RoundRobin[string](), "silent": silent{}} {
			s := newSelector(t, affinity.Config[string]{Fallback: f, Failover: p})
			req, ctx, candidates := session("s"), t.Context(), []string{"a", "b", "c"}
			s.Drain("c", time.Time{})
			require.Zero(t, testing.AllocsPerRun(100, func() {
				sel, _ := s.Select(ctx, req, candidates)
				sel.Done(tokens(80_000, 10_000))
			}), name+" "+fallback)
			require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = s.Pick(ctx, req, candidates) }), name+" "+fallback)
			away := candidates[1:]
			if p == affinity.FailoverReturn {
				require.Zero(t, testing.AllocsPerRun(100, func() {
					sel, _ := s.Select(ctx, req, away)
					sel.Done(served)
				}), "a detour")
			}
		}
	}
}

// silent is a Balancer that costs nothing.
type silent struct{}

func (silent) Pick(_ context.Context, _ *extract.Request, c []string) (string, error) {
	return c[0], nil
}
func (silent) Place(_ context.Context, _ *extract.Request, c []string) (string, affinity.Ticket, error) {
	return c[0], affinity.Ticket{}, nil
}
func (silent) Charge(*extract.Request, string, bool) affinity.Ticket { return affinity.Ticket{} }
func (silent) Settle(string, affinity.Ticket, affinity.Outcome)      {}
func (silent) Overloaded(string) bool                                { return false }
