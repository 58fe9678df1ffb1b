package affinity_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"reflect"
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

// total returns the sum of all counters of selections, errors among them.
func total(st affinity.Stats) uint64 {
	n := st.Failed
	for _, k := range st.Selected {
		n += k
	}
	return n
}

func TestStats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		boom := errors.New("boom")
		fail := false
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, FailPinned: true, Fallback: affinity.PickerFunc[string](
			func(_ context.Context, _ *extract.Request, candidates []string) (string, error) {
				if fail {
					return "", boom
				}
				return candidates[0], nil
			})})
		want := affinity.Stats{Selected: map[affinity.Reason]uint64{}, Outcomes: map[affinity.Result]uint64{}}
		for r := affinity.ReasonNoSession; r <= affinity.ReasonSideCall; r++ {
			want.Selected[r] = 0
		}
		for r := affinity.Neutral; r <= affinity.TerminalFailure; r++ {
			want.Outcomes[r] = 0
		}
		require.Equal(t, want, s.Stats(), "all possible keys, also when nothing was counted")

		ask := func(req *extract.Request, result affinity.Result, candidates ...string) {
			sel, err := s.Select(t.Context(), req, candidates)
			if err != nil {
				want.Failed++
			} else {
				want.Selected[sel.Reason]++
				want.Outcomes[result]++
			}
			sel.Done(affinity.Outcome{Result: result})
			sel.Done(affinity.Outcome{Result: result})
			elapse(time.Second)
			require.Equal(t, want, s.Stats())
		}
		side := session("nowhere")
		side.Path = "/v1/messages/count_tokens"
		ask(nil, affinity.Served, "a")
		ask(session("s"), affinity.Served, "a")
		ask(session("s"), affinity.TransientFailure, "a")
		ask(session("s"), affinity.Served, "b")
		ask(session("s"), affinity.Served, "c", "b")
		ask(session("s"), affinity.Neutral)
		fail = true
		ask(session("t"), affinity.Neutral, "a")
		ask(nil, affinity.Neutral, "a")
		fail = false
		elapse(5 * time.Minute)
		ask(session("s"), affinity.Served, "a", "b")
		elapse(5 * time.Minute)
		ask(session("s"), affinity.Served, "a", "b")
		ask(chatTurn(1, 1), affinity.Served, "a")
		ask(chatTurn(1, 2), affinity.TerminalFailure, "a")
		ask(side, affinity.Served, "a")
		mustSelect(t, s, session("maker"), "b").Learn("resp_1")
		want.Selected[affinity.ReasonNew]++
		elapse(time.Second)
		pinned := session("p")
		pinned.Body = []byte(`{"input":"x","previous_response_id":"resp_1"}`)
		ask(pinned, affinity.Served, "a", "b")
		ask(pinned, affinity.Served, "a")
		_, err := s.Pick(t.Context(), session("s"), []string{"a"})
		require.NoError(t, err)
		want.Selected[affinity.ReasonBound]++
		_, err = s.Pick(t.Context(), session("s"), nil)
		require.ErrorIs(t, err, affinity.ErrNoCandidates)
		want.Failed++
		require.Equal(t, want, s.Stats())
		for _, r := range []affinity.Reason{affinity.ReasonNoSession, affinity.ReasonBound, affinity.ReasonNew, affinity.ReasonInherited,
			affinity.ReasonFailover, affinity.ReasonDetour, affinity.ReasonReturned, affinity.ReasonPinned, affinity.ReasonSideCall} {
			require.NotZero(t, want.Selected[r], r)
		}
		require.EqualValues(t, 5, want.Failed)

		s.Stats().Selected[affinity.ReasonNew] = 99 // nobody else's map
		require.Equal(t, want, s.Stats())
	})
}

// Whatever a caller reports, it is not taken for something else.
func TestUnknownResult(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{})
	for r := affinity.TerminalFailure + 1; r != 0; r++ {
		mustSelect(t, s, session("s"), "a").Done(affinity.Outcome{Result: r})
	}
	require.Zero(t, s.Stats().Outcomes[affinity.Served])
	require.Zero(t, s.Stats().Outcomes[affinity.TransientFailure])
	require.Zero(t, s.Stats().Outcomes[affinity.TerminalFailure])
	require.Equal(t, affinity.ReasonBound, mustSelect(t, s, session("s"), "a").Reason)
}

// The counters sum to the requests, however many come at once and whatever
// becomes of them.
func TestStatsUnderFire(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, Fallback: affinity.PickerFunc[string](
		func(_ context.Context, _ *extract.Request, candidates []string) (string, error) {
			if rand.IntN(3) == 0 {
				return "", errors.New("boom")
			}
			return candidates[0], nil
		})})
	all := []string{"a", "b", "c"}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 3))
			for range 500 {
				req := []*extract.Request{nil, session(fmt.Sprint(rng.IntN(20))), chatTurn(rng.IntN(5), 1+rng.IntN(3))}[rng.IntN(3)]
				candidates := all[rng.IntN(4):]
				if rng.IntN(2) == 0 {
					_, _ = s.Pick(context.Background(), req, candidates)
					continue
				}
				sel, err := s.Select(context.Background(), req, candidates)
				if (err == nil) != (sel.Reason != 0) {
					t.Error(sel.Reason, err)
				}
				sel.Done(affinity.Outcome{Result: affinity.Result(rng.IntN(4))})
				s.Stats()
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 8*500, total(s.Stats()))
}

// A line of the log tells what was decided, and nothing that anybody would
// mind to be read.
func TestDecisionIsFitToBeLogged(t *testing.T) {
	t.Parallel()
	secrets := []string{"sk-ant-secret", "my-very-own-id", "tell nobody", "you are a spy", "resp_hidden", "user-4711", "acme-corp", "agent-007"}
	var buf bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&buf, nil))
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Tenant: extract.Credential, Failover: affinity.FailoverReturn})
		requests := map[string]func(turn int) *extract.Request{
			"an id": func(int) *extract.Request {
				return &extract.Request{Header: http.Header{"X-Session-Id": {"my-very-own-id"}}}
			},
			"claude":       func(int) *extract.Request { return claudeAgent("my-very-own-id", "agent-007", "") },
			"conventional": func(int) *extract.Request { return body(`{"prompt_cache_key":"my-very-own-id"}`) },
			"user":         func(int) *extract.Request { return body(`{"metadata":{"user_id":"user-4711"}}`) },
			"state":        func(int) *extract.Request { return body(`{"previous_response_id":"resp_hidden"}`) },
			"messages": func(turn int) *extract.Request {
				messages := `{"role":"system","content":"you are a spy"},{"role":"user","content":"tell nobody"}`
				for i := range turn {
					messages += fmt.Sprintf(`,{"role":"assistant","content":"tell nobody"},{"role":"user","content":"tell nobody %d"}`, i)
				}
				return body(`{"messages":[` + messages + `]}`)
			},
			"nothing": func(int) *extract.Request { return &extract.Request{} },
		}
		lines := 0
		for name, build := range requests {
			for turn, candidates := range [][]string{{"a"}, {"a", "b"}, {"b"}, {"a", "b"}, {"b"}, {"b"}, {"c"}} {
				req := build(turn)
				if req.Header == nil {
					req.Header = http.Header{}
				}
				req.Header.Set("Authorization", "Bearer sk-ant-secret")
				req.Scope = "acme-corp"
				if len(req.Body) > 2 && name != "messages" {
					req.Body = []byte(strings.TrimSuffix(string(req.Body), "}") + `,"messages":[{"role":"system","content":"you are a spy"},{"role":"user","content":"tell nobody"}]}`)
				}
				sel := mustSelect(t, s, req, candidates...)
				sel.Learn("resp_hidden")
				log.Info("selected", "affinity", sel.Decision)
				sel.Done(affinity.Outcome{Result: affinity.Served, Usage: affinity.Usage{Uncached: 10, Cached: 100, Output: 3}})
				log.Info("done", "affinity", sel.Decision)
				for _, form := range []string{fmt.Sprintf("%+v", sel.Decision), fmt.Sprintf("%#v", sel.Decision), fmt.Sprint(sel.Decision)} {
					for _, secret := range secrets {
						require.NotContains(t, form, secret, name)
					}
				}
				lines += 2
				elapse(time.Second)
			}
		}
		require.Equal(t, lines, bytes.Count(buf.Bytes(), []byte("\n")))
	})
	for _, secret := range secrets {
		require.NotContains(t, buf.String(), secret)
	}
	seen := map[string]bool{}
	for line := range bytes.SplitSeq(bytes.TrimSpace(buf.Bytes()), []byte("\n")) {
		var entry struct {
			Msg      string
			Affinity map[string]any
		}
		require.NoError(t, json.Unmarshal(line, &entry))
		a := entry.Affinity
		require.Contains(t, []any{"a", "b", "c"}, a["target"])
		require.NotEmpty(t, a["reason"])
		seen[a["reason"].(string)] = true
		if a["reason"] == "no-session" {
			require.NotContains(t, a, "source")
			require.NotContains(t, a, "session")
			require.NotContains(t, a, "confidence")
		} else {
			require.Regexp(t, "^[0-9a-f]{16}$", a["session"])
			require.Contains(t, []any{"explicit", "conventional", "derived"}, a["confidence"])
			require.NotEmpty(t, a["source"])
		}
		if entry.Msg == "done" {
			require.Equal(t, "served", a["result"])
			require.EqualValues(t, 10, a["uncached"])
			require.EqualValues(t, 100, a["cached"])
			require.EqualValues(t, 3, a["output"])
			require.EqualValues(t, 35, a["cost"])
		} else {
			require.NotContains(t, a, "result", "nothing is known of it yet")
			require.NotContains(t, a, "cost")
		}
		for key, value := range a {
			require.NotEmpty(t, value, "%s says nothing", key)
			seen[key] = true
		}
	}
	for _, r := range []string{"no-session", "new", "bound", "inherited", "failover", "detour", "returned", "from", "conversations", "idle"} {
		require.True(t, seen[r], r)
	}
}

// What a Decision has can all be read in a log.
func TestLogHasEveryField(t *testing.T) {
	t.Parallel()
	all := affinity.Decision{
		ID: "a", Reason: affinity.ReasonDetour, From: "b", Source: "s", Confidence: extract.Derived, Session: 1,
		Conversations: 2, Idle: time.Second, Outcome: affinity.Outcome{Result: affinity.Served}, Reported: true,
	}
	for i := range reflect.TypeFor[affinity.Decision]().NumField() {
		d := all
		field := reflect.ValueOf(&d).Elem().Field(i)
		name := reflect.TypeFor[affinity.Decision]().Field(i).Name
		require.False(t, field.IsZero(), "%s is to be set above", name)
		field.SetZero()
		require.NotEqual(t, all.LogValue().String(), d.LogValue().String(), "the log lacks %s", name)
	}
}

// A neutral outcome is one.
func TestLogOfANeutralOutcome(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{})
	sel := mustSelect(t, s, session("s"), "a")
	sel.Done(affinity.Outcome{})
	require.NotContains(t, sel.LogValue().String(), "uncached")
	require.Contains(t, sel.LogValue().String(), "target=a")
}

// What comes with an error says nothing.
func TestLogOfAnError(t *testing.T) {
	t.Parallel()
	sel, err := newSelector(t, affinity.Config[string]{}).Select(t.Context(), session("s"), nil)
	require.ErrorIs(t, err, affinity.ErrNoCandidates)
	require.Empty(t, sel.LogValue().Group())
}

func TestDigestRoundTrip(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	for range 1000 {
		d := affinity.Digest(rng.Uint64() >> rng.IntN(64))
		back, err := affinity.ParseDigest(d.String())
		require.NoError(t, err)
		require.Equal(t, d, back)
	}
	back, err := affinity.ParseDigest(affinity.Digest(0).String())
	require.NoError(t, err)
	require.Zero(t, back)
	require.Empty(t, affinity.Digest(0).String())
	for _, bad := range []string{"0", "01", "xyz", "0123456789abcdef01", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeg", " 123456789abcdef", "0x23456789abcdef", "résumérésumé1234"} {
		_, err := affinity.ParseDigest(bad)
		require.ErrorContains(t, err, "affinity: ", bad)
	}
}

// Of all sessions, the digest differs, and those of one scope share its part.
func TestScope(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{Tenant: func(r *extract.Request) string { return r.Header.Get("X-Tenant") }})
	ask := func(tenant, scope, id string) affinity.Digest {
		req := session(id)
		req.Scope = scope
		req.Header.Set("X-Tenant", tenant)
		sel := mustSelect(t, s, req, "a", "b")
		require.NotZero(t, sel.Session)
		b, ok := s.Peek(req)
		require.True(t, ok)
		require.Equal(t, sel.Session, b.Session)
		require.Equal(t, s.Scope(tenant, scope), b.Scope)
		require.Equal(t, b.Scope.String()[:min(6, len(b.Scope.String()))], sel.Session.String()[:min(6, len(b.Scope.String()))])
		return sel.Session
	}
	seen := map[affinity.Digest]bool{}
	for _, tenant := range []string{"", "t1", "t2"} {
		for _, scope := range []string{"", "s1", "s2"} {
			for i := range 20 {
				d := ask(tenant, scope, fmt.Sprint(i))
				require.False(t, seen[d])
				seen[d] = true
			}
		}
	}
	require.Zero(t, s.Scope("", ""))
	scopes := map[affinity.Digest]bool{}
	for _, d := range []affinity.Digest{s.Scope("x", ""), s.Scope("", "x"), s.Scope("x", "x"), s.Scope("xx", ""), s.Scope("", "xx")} {
		require.NotZero(t, d)
		require.False(t, scopes[d])
		scopes[d] = true
	}

	// To move or release what is one tenant's is to match its Scope.
	t1 := s.Scope("t1", "s1")
	require.Equal(t, 20, s.Cache().MoveFunc("c", func(_ affinity.Key, b affinity.Binding) bool { return b.Scope == t1 }))
	require.Equal(t, 20, s.Counts()["c"])
	require.Equal(t, 20, s.Cache().DeleteFunc(func(_ affinity.Key, b affinity.Binding) bool { return b.Scope == t1 }))
	require.Zero(t, s.Counts()["c"])
	require.Equal(t, 160, s.Cache().Len())
}

// What a request without a session has left behind is its scope's.
func TestLearnWithoutASession(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{Fallback: balance.FillFirst[string]()})
	mustSelect(t, s, &extract.Request{Scope: "mine"}, "b").Learn("resp_1")
	for _, b := range s.Cache().All() {
		require.NotZero(t, b.Session)
		require.Equal(t, s.Scope("", "mine"), b.Scope)
		require.NotEqual(t, b.Scope, b.Session)
	}
	ask := func(scope string) string {
		req := body(`{"input":"x","previous_response_id":"resp_1"}`)
		req.Scope = scope
		return mustSelect(t, s, req, "a", "b").Target
	}
	require.Equal(t, "a", ask(""))
	require.Equal(t, "a", ask("theirs"))
	require.Equal(t, "b", ask("mine"))
}

// All state that a request without a session has made is of one session.
func TestLearnMoreWithoutASession(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{Fallback: balance.FillFirst[string]()})
	choice := mustSelect(t, s, nil, "a")
	for _, id := range []string{"resp_1", "msg_1", "resp_1", "conv_1"} {
		choice.Learn(id)
	}
	choice.Done(affinity.Outcome{Result: affinity.Served})
	choice.Learn("file-1") // late
	first := mustSelect(t, s, body(`{"input":"x","previous_response_id":"resp_1"}`), "a").Session
	require.NotZero(t, first)
	for _, id := range []string{"msg_1", "conv_1", "file-1"} {
		require.Equal(t, first, mustSelect(t, s, body(`{"input":"x","previous_response_id":"`+id+`"}`), "a").Session)
	}
	require.Equal(t, 4, s.InvalidateSession(first))
}

// Digests differ from one process, or Cache, to the next.
func TestDigestsAreKeyed(t *testing.T) {
	t.Parallel()
	one := mustSelect(t, newSelector(t, affinity.Config[string]{}), session("s"), "a")
	two := mustSelect(t, newSelector(t, affinity.Config[string]{}), session("s"), "a")
	require.NotEqual(t, one.Session, two.Session)
}

// An operator moves and releases sessions by target, by scope and one by one.
func TestMoveAndRelease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{})
		ask := func(i int, candidates ...string) *affinity.Selection[string] {
			req := session(fmt.Sprint(i))
			req.Scope = []string{"even", "odd"}[i%2]
			sel := mustSelect(t, s, req, candidates...)
			sel.Done(served)
			return sel
		}
		all := []string{"a", "b", "c"}
		for i := range 30 {
			ask(i, all[i/10])
		}
		elapse(10 * time.Minute)
		require.Equal(t, 10, s.Cache().MoveFunc("b", func(_ affinity.Key, b affinity.Binding) bool { return b.Target == "a" }))
		for _, b := range s.Cache().All() {
			require.Equal(t, 50*time.Minute, time.Until(b.Expires), "to be moved is not to be used")
		}
		for i := range 10 {
			sel := ask(i, all...)
			require.Equal(t, "b", sel.Target)
			require.Equal(t, affinity.ReasonBound, sel.Reason)
		}
		even := s.Scope("", "even")
		require.Equal(t, 10, s.Cache().DeleteFunc(func(_ affinity.Key, b affinity.Binding) bool { return b.Target == "b" && b.Scope == even }))
		require.Equal(t, map[string]int{"b": 10, "c": 10}, s.Counts())
		one := ask(29, all...)
		require.Equal(t, "c", one.Target)
		require.Equal(t, 1, s.Cache().MoveFunc("a", func(_ affinity.Key, b affinity.Binding) bool { return b.Session == one.Session }))
		require.Equal(t, "a", ask(29, all...).Target)
		require.Equal(t, 0, s.Cache().MoveFunc("a", func(_ affinity.Key, b affinity.Binding) bool { return b.Session == one.Session }), "it is there already")
		require.Equal(t, 1, s.InvalidateSession(one.Session))
		require.Equal(t, affinity.ReasonNew, ask(29, all...).Reason)
	})
}

// A binding that is used while match is asked about it expires by that use.
func TestMoveOfWhatIsUsedMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{TTL: time.Hour, Lifetime: func(extract.Session) time.Duration { return 24 * time.Hour }})
		sel := mustSelect(t, s, session("s"), "a")
		elapse(24*time.Hour + time.Minute) // from now on it lives by its request alone
		require.Equal(t, 1, s.Cache().MoveFunc("b", func(affinity.Key, affinity.Binding) bool {
			sel.Done(served)
			return true
		}))
		b, _ := s.Peek(session("s"))
		require.Equal(t, "b", b.Target)
		require.Equal(t, 24*time.Hour, time.Until(b.Expires))
	})
}

// One that goes while match is asked about it does not count.
func TestMoveOfWhatGoesMeanwhile(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{})
	goes := func(k affinity.Key, _ affinity.Binding) bool { return s.Cache().Delete(k) }
	mustSelect(t, s, session("s"), "a")
	require.Zero(t, s.Cache().MoveFunc("b", goes))
	mustSelect(t, s, session("s"), "a")
	require.Zero(t, s.Cache().DeleteFunc(goes))
	require.Empty(t, s.Counts())
}

// The loop over All that gives each binding another target leaves it what it is: the home of
// the same session in its scope, a second place, or state.
func TestSetOfASessionsBindings(t *testing.T) {
	t.Parallel()
	eachConversation(t, func(t *testing.T, p affinity.FailoverPolicy, turn func(n, i int) *extract.Request) {
		s := newSelector(t, affinity.Config[string]{Failover: p})
		ask := func(i int, candidates ...string) *affinity.Selection[string] {
			req := turn(1, i)
			req.Scope = "scope"
			return mustSelect(t, s, req, candidates...)
		}
		first := ask(1, "a")
		first.Learn("resp_1")
		first.Done(served)
		elapse(time.Second)
		ask(2, "b").Done(served)
		was := map[affinity.Key]affinity.Binding{}
		for k, b := range s.Cache().All() {
			was[k] = b
		}
		for k, b := range was {
			if b.Target = "c"; !b.Aside {
				b.Expires = time.Now().Add(affinity.DefaultTTL)
			}
			require.Equal(t, b, s.Cache().Set(k, "c"))
		}
		elapse(time.Second)
		next := ask(3, "a", "b", "c")
		require.Equal(t, "c", next.Target)
		require.Equal(t, first.Session, next.Session)
		state := body(`{"previous_response_id":"resp_1"}`)
		state.Scope = "scope"
		pinned := mustSelect(t, s, state, "a", "b", "c")
		require.Equal(t, "c", pinned.Target)
		require.Equal(t, first.Session, pinned.Session)
		require.GreaterOrEqual(t, s.InvalidateSession(first.Session), len(was))
		require.Empty(t, s.Counts())
	})
}

// Where sessions outlive the TTL, so does one that Set gives another home. It is not taken to
// have been at its second place last, which would outlive the home.
func TestSetOfALongerLifetime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, TTL: time.Hour, Lifetime: func(extract.Session) time.Duration { return 24 * time.Hour }})
		mustSelect(t, s, session("other"), "c").Done(served)
		mustSelect(t, s, session("other"), "b").Done(served) // c is away
		for _, target := range []string{"a", "b", "a"} {
			mustSelect(t, s, session("s"), target).Done(served)
			elapse(time.Second)
		}
		elapse(3 * time.Hour)
		for k, b := range s.Cache().All() {
			if b.Target == "a" {
				s.Cache().Set(k, "c")
			}
		}
		sel := mustSelect(t, s, session("s"), "b", "c")
		require.Equal(t, "c", sel.Target)
		require.Equal(t, affinity.ReasonBound, sel.Reason)
		require.Equal(t, 3*time.Hour+time.Second, sel.Idle)
	})
}

// A second place that Set puts elsewhere is not taken for where the session was last.
func TestSetOfASecondPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, FailPinned: true})
		for _, candidates := range [][]string{{"a"}, {"b"}, {"a", "b"}} { // it is back at a
			mustSelect(t, s, session("s"), candidates...).Done(served)
			elapse(time.Minute)
		}
		for k, b := range s.Cache().All() {
			if b.Aside {
				require.Equal(t, b.Expires, s.Cache().Set(k, "c").Expires)
			}
		}
		pinned := session("s")
		pinned.Body = []byte(`{"previous_response_id":"resp_1"}`)
		require.Equal(t, "a", mustSelect(t, s, pinned, "a", "b", "c").Target)
	})
}

// Nor is one that lives only by a request under way.
func TestSetOfASecondPlaceWithARequestUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, TTL: time.Hour})
		streamOnADetour(t, s)
		elapse(40 * time.Minute)
		mustSelect(t, s, session("s"), "a", "b").Done(served) // it is back at a
		elapse(40 * time.Minute)
		for k, b := range s.Cache().All() {
			if b.Aside {
				require.Equal(t, "c", s.Cache().Set(k, "c").Target)
				second, _ := s.Cache().Peek(k)
				require.Equal(t, "c", second.Target)
			}
		}
		require.Equal(t, affinity.ReasonBound, mustSelect(t, s, session("s"), "a", "b", "c").Reason)
	})
}

// One whose home has ended meanwhile is bound for a TTL.
func TestSetOfASecondPlaceWithoutAHome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, TTL: time.Hour})
		streamOnADetour(t, s)
		elapse(80 * time.Minute)
		for k, b := range s.Cache().All() {
			require.True(t, b.Aside)
			b = s.Cache().Set(k, "c")
			require.Equal(t, time.Now().Add(time.Hour), b.Expires)
		}
		require.Equal(t, "c", mustSelect(t, s, session("s"), "a", "b", "c").Target)
	})
}

// What is moved while it is at a detour has the new home and no other.
func TestMoveOnADetour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn})
		for _, target := range []string{"a", "b", "b"} {
			mustSelect(t, s, session("s"), target).Done(served)
			elapse(time.Second)
		}
		aside := 0
		for _, b := range s.Cache().All() {
			if b.Aside {
				aside++
				require.Equal(t, "b", b.Target)
			}
		}
		require.Equal(t, 1, aside)
		require.Equal(t, map[string]int{"a": 1}, s.Counts(), "second places do not count")
		require.Equal(t, 1, s.Cache().MoveFunc("c", everything))
		for _, b := range s.Cache().All() {
			require.False(t, b.Aside, "it is forgotten")
		}
		for range 3 {
			require.Equal(t, "c", mustSelect(t, s, session("s"), "a", "b", "c").Target)
			elapse(time.Second)
		}
	})
}

// A session that is on a detour when its home is moved returns to the new home from there, unless
// it goes on from state.
func TestMoveOfTheHomeOfADetour(t *testing.T) {
	t.Parallel()
	for _, move := range []func(c *affinity.Cache){
		func(c *affinity.Cache) {
			require.Equal(t, 1, c.MoveFunc("c", func(_ affinity.Key, b affinity.Binding) bool { return !b.Aside }))
		},
		func(c *affinity.Cache) {
			for k, b := range c.All() {
				if !b.Aside {
					c.Set(k, "c")
				}
			}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, Lifetime: func(extract.Session) time.Duration { return 24 * time.Hour }})
			for _, target := range []string{"a", "b"} {
				mustSelect(t, s, session("s"), target).Done(served)
				elapse(time.Second)
			}
			move(s.Cache())
			sel := mustSelect(t, s, withFile("s"), "b", "c")
			sel.Done(served)
			require.Equal(t, []any{"b", affinity.ReasonDetour, "c"}, []any{sel.ID, sel.Reason, sel.From})
			sel = mustSelect(t, s, session("s"), "b", "c")
			require.Equal(t, []any{"c", affinity.ReasonReturned, "b"}, []any{sel.ID, sel.Reason, sel.From})
		})
	}
}

// What is moved to where it is on a detour has been used there as lately as the detour was.
func TestMoveToAWarmDetour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn})
		teach(t, s, "b")
		for _, target := range []string{"a", "b"} {
			for n := range 40 {
				mustSelect(t, s, session(fmt.Sprint(n)), target).Done(served)
			}
			elapse(10 * time.Minute)
		}
		for n := range 40 {
			mustSelect(t, s, session(fmt.Sprint(n)), "b").Done(served)
		}
		elapse(time.Minute)
		s.Cache().MoveFunc("b", everything)
		for n := range 40 {
			sel := mustSelect(t, s, session(fmt.Sprint(n)), "a", "b")
			require.Equal(t, "b", sel.Target)
			require.Equal(t, affinity.ReasonBound, sel.Reason)
			require.Equal(t, time.Minute, sel.Idle)
		}
	})
}

// What is moved lives as long as it would have, whatever its second place does: unless that
// is where it is moved to, and ends later.
func TestMoveKeepsTheExpiry(t *testing.T) {
	t.Parallel()
	for policy, p := range policies {
		for _, target := range []string{"a", "c"} {
			synctest.Test(t, func(t *testing.T) {
				s := newSelector(t, affinity.Config[string]{Failover: p})
				for _, target := range []string{"a", "b"} {
					for n := range 40 {
						mustSelect(t, s, session(fmt.Sprint(n)), target).Done(served)
					}
					elapse(10 * time.Minute)
				}
				want := 50 * time.Minute
				if p == affinity.FailoverReturn {
					want = 40 * time.Minute // a is the home, and b a detour
				}
				s.Cache().MoveFunc(target, everything)
				for n := range 40 {
					b := mustPeek(t, s, session(fmt.Sprint(n)))
					require.Equal(t, target, b.Target, policy)
					require.Equal(t, want, time.Until(b.Expires), policy)
				}
			})
		}
	}
}

// What only a request under way has kept alive is moved for a TTL, even to where it ends before.
func TestMoveOfWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn})
		mustSelect(t, s, session("s"), "a") // goes on
		elapse(10 * time.Minute)
		mustSelect(t, s, session("s"), "b").Done(served)
		elapse(55 * time.Minute)
		require.Equal(t, 1, s.Cache().MoveFunc("b", everything))
		require.Equal(t, time.Hour, time.Until(mustPeek(t, s, session("s")).Expires))
	})
}

// What is moved to where it is on a detour is at home there, though the detour ends later
// than the home does.
func TestMoveToTheDetour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn})
		for _, target := range []string{"b", "c", "c"} { // b has been away, and its sessions take their time to come back
			elapse(5 * time.Minute)
			mustSelect(t, s, session("other"), target).Done(served)
		}
		for _, target := range []string{"a", "b"} {
			mustSelect(t, s, session("s"), target).Done(served)
			elapse(time.Second)
		}
		stream := mustSelect(t, s, session("s"), "b")
		s.Cache().MoveFunc("b", everything)
		elapse(time.Second)
		stream.Done(served)
		for _, candidates := range [][]string{{"b", "a"}, {"b"}} {
			sel := mustSelect(t, s, session("s"), candidates...)
			require.Equal(t, "b", sel.Target)
			require.Equal(t, affinity.ReasonBound, sel.Reason)
			require.Empty(t, sel.From)
			sel.Done(affinity.Outcome{Result: affinity.TransientFailure}) // the detour ends later still
			s.Drain("b", time.Now())                                      // which is all that there is, in the end
		}
	})
}

func TestMoveAndReleaseUnderFire(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{Failover: affinity.FailoverReturn, Fallback: balance.Random[string]()})
	all := []string{"a", "b", "c", "d"}
	var users, operators sync.WaitGroup
	stop := make(chan struct{})
	for g := range 4 {
		users.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 8))
			for range 1000 {
				candidates := all[rng.IntN(3):]
				req := session(fmt.Sprint(rng.IntN(200)))
				req.Scope = fmt.Sprint(rng.IntN(2))
				sel, err := s.Select(context.Background(), req, candidates)
				if err != nil {
					t.Error(err)
				}
				sel.Done(affinity.Outcome{Result: affinity.Result(rng.IntN(4))})
			}
		})
	}
	operators.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			scope := s.Scope("", "1")
			switch i % 4 {
			case 0:
				s.Cache().MoveFunc(all[i%3], func(_ affinity.Key, b affinity.Binding) bool { return b.Target == "d" })
			case 1:
				s.Cache().DeleteFunc(func(_ affinity.Key, b affinity.Binding) bool { return b.Scope == scope })
			case 2:
				for _, b := range s.Cache().All() {
					s.InvalidateSession(b.Session)
					break
				}
			case 3:
				s.InvalidateTarget("b")
			}
		}
	})
	users.Wait()
	close(stop)
	operators.Wait()
	require.EqualValues(t, 4000, total(s.Stats()))
	s.Cache().DeleteFunc(everything)
	for range s.Cache().All() {
		require.Fail(t, "nothing is left")
	}
}

// What is counted and decided can be shown as JSON, in words.
func TestJSON(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{})
	sel := mustSelect(t, s, session("s"), "a")
	sel.Done(affinity.Outcome{Result: affinity.TransientFailure})
	text, err := json.Marshal(sel.Decision)
	require.NoError(t, err)
	for _, part := range []string{`"Reason":"new"`, `"Confidence":"explicit"`, `"Session":"` + sel.Session.String() + `"`, `"Result":"transient-failure"`} {
		require.Contains(t, string(text), part)
	}
	text, err = json.Marshal(s.Stats())
	require.NoError(t, err)
	require.Contains(t, string(text), `"new":1`)
	require.Contains(t, string(text), `"transient-failure":1`)

	b, ok := s.Peek(session("s"))
	require.True(t, ok)
	text, err = json.Marshal(b)
	require.NoError(t, err)
	var again affinity.Binding
	require.NoError(t, json.Unmarshal(text, &again))
	require.True(t, b.Expires.Equal(again.Expires))
	again.Expires = b.Expires
	require.Equal(t, b, again)
	require.Error(t, json.Unmarshal([]byte(`"some"`), &again.Session))

	text, err = json.Marshal(extract.Compaction)
	require.NoError(t, err)
	require.Equal(t, `"compaction"`, string(text))
}

// A share of the sessions can be told by a remainder of their digests.
func TestDigestsAreSpreadEvenly(t *testing.T) {
	long(t)
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{Tenant: func(*extract.Request) string { return "t" }})
	const sessions = 10_000
	digests := make([]affinity.Digest, sessions)
	for i := range digests {
		digests[i] = mustSelect(t, s, session(fmt.Sprint(i)), "a").Session
	}
	for _, n := range []affinity.Digest{2, 3, 4, 8, 10, 16, 100} {
		found := 0
		for _, d := range digests {
			if d%n == 0 {
				found++
			}
		}
		want := sessions / float64(n)
		require.InDelta(t, want, found, 6*math.Sqrt(want), "one of %d", n)
	}
}
