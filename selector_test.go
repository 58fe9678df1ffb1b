package affinity_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"
	"golang.org/x/exp/stats"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
	"github.com/go-affinity/affinity/extract"
)

// Targets of these tests are their own IDs.
func self(s string) string { return s }

// long leaves a test out with -short, as under the race detector: it would take twenty
// times as long, and all of it is in one goroutine.
func long(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and of one goroutine")
	}
}

func newSelector(t testing.TB, cfg affinity.Config[string]) *affinity.Selector[string] {
	t.Helper()
	if cfg.ID == nil {
		cfg.ID = self
	}
	if cfg.Fallback == nil {
		cfg.Fallback = balance.RoundRobin[string]()
	}
	s, err := affinity.New(cfg)
	require.NoError(t, err)
	return s
}

func session(id string) *extract.Request {
	return &extract.Request{Header: http.Header{"X-Session-Id": {"id-" + id}}}
}

// scripted names the session of a request as the test says.
type scripted struct{ now extract.Session }

func (x *scripted) Extract(*extract.Request) (extract.Session, bool) { return x.now, true }

// always is a fallback that answers with one target, whatever the candidates.
func always(target string) affinity.Picker[string] {
	return affinity.PickerFunc[string](func(context.Context, *extract.Request, []string) (string, error) {
		return target, nil
	})
}

func mustSelect(t testing.TB, s *affinity.Selector[string], req *extract.Request, candidates ...string) *affinity.Selection[string] {
	t.Helper()
	sel, err := s.Select(t.Context(), req, candidates)
	require.NoError(t, err)
	require.Equal(t, sel.Target, sel.ID)
	require.Contains(t, candidates, sel.Target)
	return &sel
}

func TestNewRefusesBadConfig(t *testing.T) {
	t.Parallel()
	cache := newCache(t, affinity.CacheConfig{})
	good := affinity.Config[string]{ID: self, Fallback: always("a")}
	for want, spoil := range map[string]func(*affinity.Config[string]){
		"Config.ID is nil":        func(c *affinity.Config[string]) { c.ID = nil },
		"Config.Fallback is nil":  func(c *affinity.Config[string]) { c.Fallback = nil },
		"Config.Fallback is nil:": func(c *affinity.Config[string]) { c.Fallback = affinity.PickerFunc[string](nil) },
		"Extractor is a nil func": func(c *affinity.Config[string]) { c.Extractor = extract.ExtractorFunc(nil) },
		"is a Chain that has a n": func(c *affinity.Config[string]) { c.Extractor = extract.Chain{extract.ExtractorFunc(nil)} },
		"want ThreadsStart, Thre": func(c *affinity.Config[string]) { c.Threads = affinity.ThreadsSpread + 1 },
		"want FailoverRebind or ": func(c *affinity.Config[string]) { c.Failover = affinity.FailoverReturn + 1 },
		"affinity: Config.TTL is": func(c *affinity.Config[string]) { c.TTL = -1 },
		"affinity: Config.Capaci": func(c *affinity.Config[string]) { c.Capacity = -1 },
		"Config.Cache is set":     func(c *affinity.Config[string]) { c.Cache, c.TTL = cache, 1 },
		"so is Config.TTL or Con": func(c *affinity.Config[string]) { c.Cache, c.Capacity = cache, 1 },
		"use NewCache":            func(c *affinity.Config[string]) { c.Cache = new(affinity.Cache) },
		"Chain that has a nil in": func(c *affinity.Config[string]) { c.Extractor = extract.Chain{extract.Headers(), extract.Chain{nil}} },
		"a Chain that has a nil":  func(c *affinity.Config[string]) { c.Extractor = extract.Chain{extract.Headers(), nil} },
	} {
		cfg := good
		spoil(&cfg)
		_, err := affinity.New(cfg)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "affinity: ")
	}
}

// What becomes of a Chain after New is the caller's business.
func TestNewCopiesTheChain(t *testing.T) {
	t.Parallel()
	for _, nested := range []bool{false, true} {
		inner := extract.Default()
		chain := inner
		if nested {
			chain = extract.Chain{extract.Header("X-Mine"), inner}
		}
		s := newSelector(t, affinity.Config[string]{Extractor: chain})
		clear(inner)
		clear(chain)
		require.Equal(t, affinity.ReasonNew, mustSelect(t, s, session("s"), "a").Reason)
	}
}

// What a picker has to know beside the request comes with the context of Select, through
// nested selectors and for whatever reason it is asked.
func TestContextReachesTheFallback(t *testing.T) {
	t.Parallel()
	type tier struct{}
	inner := newSelector(t, affinity.Config[string]{
		Extractor: extract.Chain{},
		Fallback: affinity.PickerFunc[string](func(ctx context.Context, _ *extract.Request, _ []string) (string, error) {
			return ctx.Value(tier{}).(string), nil
		}),
	})
	s := newSelector(t, affinity.Config[string]{Fallback: inner})
	for _, tt := range []struct {
		req  *extract.Request
		tier string
		up   []string
		want affinity.Reason
	}{
		{nil, "a", []string{"a", "b"}, affinity.ReasonNoSession},
		{session("s"), "a", []string{"a", "b"}, affinity.ReasonNew},
		{session("s"), "b", []string{"b", "c"}, affinity.ReasonFailover},
		{&extract.Request{Method: http.MethodHead, Header: http.Header{"X-Session-Id": {"t"}}}, "b", []string{"a", "b"}, affinity.ReasonSideCall},
	} {
		sel, err := s.Select(context.WithValue(t.Context(), tier{}, tt.tier), tt.req, tt.up)
		require.NoError(t, err)
		require.Equal(t, tt.tier, sel.Target)
		require.Equal(t, tt.want, sel.Reason)
	}
}

// An Extractor of the user's own may be a Chain, and what it says without an id is no session.
func TestOwnExtractor(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{Extractor: extract.Chain{extract.Header("X-Mine")}})
	require.Equal(t, "x-mine", mustSelect(t, s, &extract.Request{Header: http.Header{"X-Mine": {"m"}}}, "a").Source)
	require.Equal(t, affinity.ReasonNoSession, mustSelect(t, s, session("s"), "a").Reason)

	s = newSelector(t, affinity.Config[string]{Extractor: extract.ExtractorFunc(func(*extract.Request) (extract.Session, bool) {
		return extract.Session{Source: "mine", Thread: "t", Confidence: extract.Derived}, true
	})})
	sel := mustSelect(t, s, session("s"), "a")
	require.Equal(t, affinity.ReasonNoSession, sel.Reason)
	require.Zero(t, sel.Session)
	require.Empty(t, sel.Source)
}

// One conversation, one target, whatever the fallback or the order of the candidates would
// say.
func TestSessionStays(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{})
	first := mustSelect(t, s, session("s"), "a", "b", "c")
	require.Equal(t, affinity.ReasonNew, first.Reason)
	require.Equal(t, "x-session-id", first.Source)
	for range 10 {
		for _, candidates := range [][]string{{"a", "b", "c"}, {"c", "b", "a"}, {"b", "x", "c", "a", "y"}} {
			sel := mustSelect(t, s, session("s"), candidates...)
			require.Equal(t, first.Target, sel.Target)
			require.Equal(t, affinity.ReasonBound, sel.Reason)
			require.Equal(t, first.Session, sel.Session)
		}
	}
	other := mustSelect(t, s, session("t"), "a", "b", "c")
	require.NotEqual(t, first.Target, other.Target, "round robin went on only for the new session")
	require.NotEqual(t, first.Session, other.Session)
}

func TestNoSessionLeavesEverythingToTheFallback(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{Tenant: extract.Credential}) // which takes no nil
	for _, req := range []*extract.Request{nil, {}, {Body: []byte(`{"model":"m"}`)}, {Header: http.Header{"X-Session-Id": {"null"}}}} {
		for _, want := range []string{"a", "b", "c"} {
			sel := mustSelect(t, s, req, "a", "b", "c")
			require.Equal(t, want, sel.Target, "round robin as if there were no Selector")
			require.Equal(t, affinity.ReasonNoSession, sel.Reason)
			require.Empty(t, sel.Source)
			require.Zero(t, sel.Session)
			sel.Done(affinity.Outcome{Result: affinity.TerminalFailure})
		}
		_, ok := s.Peek(req)
		require.False(t, ok)
		require.False(t, s.Invalidate(req))
	}
	require.Zero(t, s.Cache().Len())
}

// Sessions of a target that died go through the fallback, so they spread over the others,
// and nobody else moves.
func TestFailoverSpreads(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{})
	all := []string{"a", "b", "c", "d"}
	home := map[string]string{}
	for i := range 4000 {
		id := fmt.Sprint(i)
		home[id] = mustSelect(t, s, session(id), all...).Target
	}
	left := slices.DeleteFunc(slices.Clone(all), func(x string) bool { return x == "c" })
	for i := range 4000 {
		id := fmt.Sprint(i)
		if sel := mustSelect(t, s, session(id), left...); home[id] != "c" {
			require.Equal(t, home[id], sel.Target)
		}
	}
	var load []float64
	for target, n := range s.Counts() {
		require.Contains(t, left, target)
		load = append(load, float64(n))
	}
	mean, dev := stats.MeanAndStdDev(load)
	require.InDelta(t, 4000./3, mean, 1e-6)
	require.Less(t, dev/mean, 0.01)
}

func TestErrorsBindNothing(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	failing := affinity.PickerFunc[string](func(context.Context, *extract.Request, []string) (string, error) {
		return "", boom
	})
	for name, tt := range map[string]struct {
		fallback   affinity.Picker[string]
		candidates []string
		want       error
	}{
		"no candidates":               {always("a"), nil, affinity.ErrNoCandidates},
		"empty candidates":            {always("a"), []string{}, affinity.ErrNoCandidates},
		"fallback fails":              {failing, []string{"a"}, boom},
		"fallback leaves the list":    {always("z"), []string{"a", "b"}, affinity.ErrNotCandidate},
		"fallback gives a zero value": {always(""), []string{"a", "b"}, affinity.ErrNotCandidate},
		"target without an ID":        {always(""), []string{"a", ""}, affinity.ErrNoID},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSelector(t, affinity.Config[string]{Fallback: tt.fallback})
			for _, req := range []*extract.Request{
				session("s"), {Body: []byte(`{"prompt_cache_key":"k","messages":[{"role":"user","content":"hi"}]}`)},
			} {
				sel, err := s.Select(t.Context(), req, tt.candidates)
				require.ErrorIs(t, err, tt.want)
				require.Equal(t, &affinity.Selection[string]{}, &sel)
				sel.Done(affinity.Outcome{Result: affinity.Served})
				require.Zero(t, s.Cache().Len())
				_, err = s.Pick(t.Context(), req, tt.candidates)
				require.ErrorIs(t, err, tt.want)
			}
		})
	}

	// Neither does an error disturb a binding that is there.
	s := newSelector(t, affinity.Config[string]{Fallback: affinity.PickerFunc[string](
		func(_ context.Context, _ *extract.Request, candidates []string) (string, error) {
			if slices.Contains(candidates, "a") {
				return "a", nil
			}
			return "", boom
		})})
	mustSelect(t, s, session("s"), "a", "b")
	_, err := s.Select(t.Context(), session("s"), []string{"b"})
	require.ErrorIs(t, err, boom)
	require.Equal(t, affinity.ReasonBound, mustSelect(t, s, session("s"), "a", "b").Reason)
}

// A fallback that finds nobody may say so by nil, of which Config.ID need not know what it is
// called. A nil candidate is one like any other.
func TestFallbackThatChoosesNil(t *testing.T) {
	t.Parallel()
	type account struct{ name string }
	choosesNil(t, func(a *account) string { return a.name }, &account{"a"})
	choosesNil(t, func(f func() string) string { return f() }, func() string { return "a" })
	choosesNil(t, func(a fmt.Stringer) string { return a.String() }, fmt.Stringer(time.Second))
}

func choosesNil[T any](t *testing.T, id func(T) string, target T) {
	t.Helper()
	var none T
	cfg := affinity.Config[T]{ID: id, Fallback: affinity.PickerFunc[T](func(context.Context, *extract.Request, []T) (T, error) { return none, nil })}
	s, err := affinity.New(cfg)
	require.NoError(t, err)
	for _, req := range []*extract.Request{nil, session("s")} {
		_, err = s.Select(t.Context(), req, []T{target})
		require.ErrorIs(t, err, affinity.ErrNotCandidate)
	}
	require.Zero(t, s.Cache().Len())

	cfg.ID = func(T) string { return "the default" }
	s, err = affinity.New(cfg)
	require.NoError(t, err)
	sel, err := s.Select(t.Context(), session("s"), []T{none})
	require.NoError(t, err)
	require.Equal(t, affinity.ReasonNew, sel.Reason)
}

// A fallback may append to the candidates. That leaves alone what is behind them in the caller's
// array.
func TestFallbackThatAppends(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{Fallback: affinity.PickerFunc[string](
		func(_ context.Context, _ *extract.Request, candidates []string) (string, error) {
			return append(candidates, "spare")[0], nil
		})})
	all := []string{"a", "b", "c"}
	for _, req := range []*extract.Request{nil, session("s")} {
		require.Equal(t, "a", mustSelect(t, s, req, all[:2]...).Target)
	}
	require.Equal(t, []string{"a", "b", "c"}, all)
}

// slow is a fallback that takes a millisecond and answers with another target
// at each call.
type slow struct {
	next  affinity.Picker[string]
	calls atomic.Int32
}

func (f *slow) Pick(ctx context.Context, req *extract.Request, candidates []string) (string, error) {
	f.calls.Add(1)
	elapse(time.Millisecond)
	return f.next.Pick(ctx, req, candidates)
}

// First requests that race get one target, and cost the fallback one call.
func TestConcurrentFirstRequests(t *testing.T) {
	t.Parallel()
	for _, part := range []string{"first", "failover"} {
		t.Run(part, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &slow{next: balance.RoundRobin[string]()}
				s := newSelector(t, affinity.Config[string]{Fallback: f})
				candidates := []string{"a", "b", "c", "d"}
				if part == "failover" {
					mustSelect(t, s, session("s"), "gone")
					f.calls.Store(0)
				}
				got := make([]affinity.Selection[string], 64)
				req := session("s") // one Request for all is fine, too
				var wg sync.WaitGroup
				for i := range got {
					wg.Go(func() {
						var err error
						if got[i], err = s.Select(t.Context(), req, candidates); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				reasons := map[affinity.Reason]int{}
				for i := range got {
					require.Equal(t, got[0].Target, got[i].Target)
					reasons[got[i].Reason]++
				}
				want := affinity.ReasonNew
				if part == "failover" {
					want = affinity.ReasonFailover
				}
				require.Equal(t, map[affinity.Reason]int{want: 1, affinity.ReasonBound: 63}, reasons)
				require.EqualValues(t, 1, f.calls.Load())
			})
		})
	}
}

// A slow placement holds up its own session only.
func TestPlacementsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Fallback: &slow{next: balance.RoundRobin[string]()}})
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() { _, _ = s.Pick(t.Context(), session(fmt.Sprint(i)), []string{"a", "b"}) })
		}
		wg.Wait()
		require.Equal(t, time.Millisecond, time.Since(start))
	})
}

// When the one that places fails, the others do not fail with it, nor queue.
func TestWaitersSurviveAFailedPlacement(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func() error{
		"error": func() error { return errors.New("boom") },
		"panic": func() error { panic("boom") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int32
				s := newSelector(t, affinity.Config[string]{Fallback: affinity.PickerFunc[string](
					func(context.Context, *extract.Request, []string) (string, error) {
						n := calls.Add(1)
						elapse(time.Second)
						if n == 1 {
							return "", fail()
						}
						return []string{"a", "b"}[n%2], nil
					})})
				start := time.Now()
				var targets [32]string
				var failed atomic.Int32
				var wg sync.WaitGroup
				for i := range targets {
					wg.Go(func() {
						defer func() {
							if recover() != nil {
								failed.Add(1)
							}
						}()
						sel, err := s.Select(t.Context(), session("s"), []string{"a", "b"})
						if err != nil {
							failed.Add(1)
						}
						targets[i] = sel.Target
					})
				}
				wg.Wait()
				require.EqualValues(t, 1, failed.Load())
				require.Equal(t, 2*time.Second, time.Since(start))
				home := mustSelect(t, s, session("s"), "a", "b").Target
				for _, target := range targets {
					if target != "" {
						require.Equal(t, home, target)
					}
				}
			})
		})
	}
}

// If the fallback fails for all, all are told.
func TestWaitersOfAFallbackThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		boom := errors.New("boom")
		s := newSelector(t, affinity.Config[string]{Fallback: affinity.PickerFunc[string](
			func(context.Context, *extract.Request, []string) (string, error) {
				elapse(time.Second)
				return "", boom
			})})
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				_, err := s.Select(t.Context(), session("s"), []string{"a", "b"})
				require.ErrorIs(t, err, boom)
			})
		}
		wg.Wait()
	})
}

func TestWaitersHonourTheirContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := newSelector(t, affinity.Config[string]{Fallback: affinity.PickerFunc[string](
			func(context.Context, *extract.Request, []string) (string, error) {
				<-release
				return "a", nil
			})})
		go mustSelect(t, s, session("s"), "a")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.Select(ctx, session("s"), []string{"a"})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		close(release)
		synctest.Wait()
		require.Equal(t, affinity.ReasonBound, mustSelect(t, s, session("s"), "a").Reason)
	})
}

// A waiter for whom the winner's target is no candidate fails over at once.
func TestWaiterWithOtherCandidates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{Fallback: &slow{next: balance.FillFirst[string]()}})
		go mustSelect(t, s, session("s"), "a", "b")
		synctest.Wait()
		sel := mustSelect(t, s, session("s"), "b", "c")
		require.Equal(t, "b", sel.Target)
		require.Equal(t, affinity.ReasonFailover, sel.Reason)
		require.Equal(t, "a", sel.From)
	})
}

// Whatever cuts a text into the parts of a key, the key is another one.
func TestPartsOfKeysAreApart(t *testing.T) {
	t.Parallel()
	const text = "abcdefg"
	x := new(scripted)
	s := newSelector(t, affinity.Config[string]{
		Extractor: x,
		Tenant:    func(r *extract.Request) string { return r.Metadata["tenant"] },
		Threads:   affinity.ThreadsSpread, // so that none starts where another is
	})
	for tenant := range len(text) + 1 {
		for scope := tenant; scope <= len(text); scope++ {
			for source := scope; source < len(text); source++ {
				for id := source + 1; id <= len(text); id++ {
					x.now = extract.Session{Source: text[scope:source], ID: text[source:id], Thread: text[id:]}
					req := &extract.Request{Metadata: map[string]string{"tenant": text[:tenant]}, Scope: text[tenant:scope]}
					require.Equal(t, affinity.ReasonNew, mustSelect(t, s, req, "a").Reason, "%+v of %+v", x.now, req)
				}
			}
		}
	}
}

// A session that was moved while the fallback took its time goes where it was moved to,
// and has left nobody.
func TestMovedWhileItIsPlaced(t *testing.T) {
	t.Parallel()
	var s *affinity.Selector[string]
	s = newSelector(t, affinity.Config[string]{Fallback: affinity.PickerFunc[string](func(_ context.Context, _ *extract.Request, candidates []string) (string, error) {
		s.Cache().MoveFunc("b", func(affinity.Key, affinity.Binding) bool { return true })
		return candidates[0], nil
	})})
	mustSelect(t, s, session("1"), "a")
	sel := mustSelect(t, s, session("1"), "c", "b")
	require.Equal(t, "b", sel.Target)
	require.Equal(t, affinity.ReasonBound, sel.Reason)
	require.Empty(t, sel.From)
}

// An id means something within its scope only.
func TestScopesAreApart(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{})
	in := func(scope string) *extract.Request {
		req := session("guessed")
		req.Scope = scope
		return req
	}
	first := mustSelect(t, s, in("tenant-1"), "a", "b")
	second := mustSelect(t, s, in("tenant-2"), "a", "b")
	require.Equal(t, affinity.ReasonNew, second.Reason)
	require.NotEqual(t, first.Target, second.Target)
	require.NotEqual(t, first.Session, second.Session)
	require.True(t, s.Invalidate(in("tenant-2")))
	require.False(t, s.Invalidate(in("tenant-3")))
	require.Equal(t, affinity.ReasonBound, mustSelect(t, s, in("tenant-1"), "a", "b").Reason)
}

func TestInheritance(t *testing.T) {
	t.Parallel()
	x := new(scripted)
	s := newSelector(t, affinity.Config[string]{Extractor: x})
	all := []string{"a", "b", "c", "d"}
	ask := func(sess extract.Session) *affinity.Selection[string] {
		x.now = sess
		return mustSelect(t, s, &extract.Request{}, all...)
	}
	turn1 := ask(extract.Session{ID: "1"})
	mustSelect(t, s, nil, all...) // round robin goes on
	require.NotEqual(t, turn1.Target, ask(extract.Session{ID: "another"}).Target)
	turn2 := ask(extract.Session{ID: "2", Continues: []string{"unknown", "1", "another"}})
	require.Equal(t, affinity.ReasonInherited, turn2.Reason)
	require.Equal(t, turn1.Target, turn2.Target)
	require.Equal(t, turn1.Session, turn2.Session, "the same conversation to whoever reads the log")

	b, ok := s.Peek(&extract.Request{})
	require.True(t, ok)
	require.Equal(t, turn2.Target, b.Target)

	child := ask(extract.Session{ID: "child", Near: []string{"unknown", "2", "another"}})
	require.Equal(t, affinity.ReasonInherited, child.Reason)
	require.Equal(t, turn1.Target, child.Target)
	require.NotEqual(t, turn1.Session, child.Session, "another conversation")
	require.Equal(t, turn1.Target, ask(extract.Session{ID: "grandchild", Parent: "child", Near: []string{"another"}}).Target)
	require.Equal(t, turn1.Target, ask(extract.Session{ID: "orphan", Parent: "unknown", Near: []string{"child"}}).Target)

	// From now on the two move separately.
	all = slices.DeleteFunc(all, func(t string) bool { return t == turn1.Target })
	moved := ask(extract.Session{ID: "2"})
	require.Equal(t, affinity.ReasonFailover, moved.Reason)
	again := ask(extract.Session{ID: "child"})
	require.NotEqual(t, moved.Target, again.Target, "round robin placed the child anew")

	// Inheriting from a home that is gone is a failover, of the same session.
	x.now = extract.Session{ID: "3", Continues: []string{"1"}}
	b, ok = s.Peek(&extract.Request{})
	require.True(t, ok)
	require.Equal(t, turn1.Target, b.Target)
	turn3 := ask(x.now)
	require.Equal(t, affinity.ReasonFailover, turn3.Reason)
	require.Equal(t, turn1.Target, turn3.From)
	require.Equal(t, turn1.Session, turn3.Session)
}

func TestAliases(t *testing.T) {
	t.Parallel()
	x := new(scripted)
	s := newSelector(t, affinity.Config[string]{Extractor: x})
	x.now = extract.Session{ID: "1", Aliases: []string{"alias"}}
	first := mustSelect(t, s, &extract.Request{}, "a", "b")
	x.now = extract.Session{ID: "2", Continues: []string{"alias"}, Aliases: []string{"other"}}
	require.Equal(t, first.Target, mustSelect(t, s, &extract.Request{}, "a", "b").Target)
	require.True(t, s.Invalidate(&extract.Request{}))
	require.Equal(t, map[string]int{first.Target: 1}, s.Counts(), "turn 1 itself is not an ancestor that was named")
	x.now = extract.Session{ID: "3", Continues: []string{"alias", "other", "2"}}
	require.Equal(t, affinity.ReasonNew, mustSelect(t, s, &extract.Request{}, "a", "b").Reason)
}

// Conversations of which the client sends the last few messages only stay at their targets,
// though each turn is a session of its own.
func TestWindows(t *testing.T) {
	t.Parallel()
	targets, n := strings.Split("abcdefghijklmnopqrstuvwxyz", ""), 0
	s := newSelector(t, affinity.Config[string]{Fallback: affinity.PickerFunc[string](func(context.Context, *extract.Request, []string) (string, error) {
		n++
		return targets[n-1], nil
	})})
	const conversations, turns, window = 5, 12, 6
	for turn := range turns {
		for i := range conversations {
			var said []string
			for k := range turn + 1 {
				said = append(said, fmt.Sprintf(`{"role":"user","content":"question %d of conversation %d"},{"role":"assistant","content":"yes"}`, k, i))
			}
			messages := strings.TrimSuffix(strings.Join(said[max(0, len(said)-window):], ","), `,{"role":"assistant","content":"yes"}`)
			sel := mustSelect(t, s, &extract.Request{Body: []byte(`{"messages":[` + messages + `]}`)}, targets...)
			sel.Done(served)
			require.Equal(t, targets[i], sel.Target)
		}
	}
}

// The turns before the last one expire while the conversation goes on.
func TestOlderTurnsExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := new(scripted)
		s := newSelector(t, affinity.Config[string]{Extractor: x})
		var earlier []string
		for turn := range 5 {
			x.now = extract.Session{Source: "x", ID: fmt.Sprint(turn), Continues: slices.Clone(earlier)}
			mustSelect(t, s, new(extract.Request), "a").Done(served)
			earlier = slices.Insert(earlier, 0, x.now.ID)
			elapse(40 * time.Minute)
		}
		require.Equal(t, map[string]int{"a": 2}, s.Counts())
	})
}

// What is stored for later turns to find lives as long as the turn does, however often
// that asks.
func TestAliasesSlide(t *testing.T) {
	t.Parallel()
	const ttl = 5 * time.Minute
	turn := func(i int) extract.Session {
		return extract.Session{Source: "x", ID: fmt.Sprint(i), Confidence: extract.Derived,
			Aliases: []string{fmt.Sprint("alias ", i)}, Continues: []string{fmt.Sprint("alias ", i-1)}}
	}
	for name, c := range map[string]struct {
		policy affinity.FailoverPolicy
		work   func(x *scripted, ask func(candidates ...string) *affinity.Selection[string])
		want   affinity.Reason
		target string
	}{
		"on use": {work: func(_ *scripted, ask func(...string) *affinity.Selection[string]) {
			for range 20 {
				ask("a").Done(affinity.Outcome{})
				elapse(time.Minute)
			}
		}, want: affinity.ReasonInherited, target: "a"},
		"at the end of an answer": {work: func(_ *scripted, ask func(...string) *affinity.Selection[string]) {
			sel := ask("a")
			elapse(ttl - 1)
			sel.Done(served)
			elapse(ttl - 1)
		}, want: affinity.ReasonInherited, target: "a"},
		"while an answer streams": {work: func(_ *scripted, ask func(...string) *affinity.Selection[string]) {
			ask("a")
			elapse(time.Hour)
		}, want: affinity.ReasonInherited, target: "a"},
		"at the end of a long answer": {work: func(_ *scripted, ask func(...string) *affinity.Selection[string]) {
			sel := ask("a")
			elapse(20 * time.Minute)
			sel.Done(served)
			elapse(ttl - 1)
		}, want: affinity.ReasonInherited, target: "a"},
		"at the end of a long answer of a session that is known": {work: func(_ *scripted, ask func(...string) *affinity.Selection[string]) {
			ask("a").Done(served)
			sel := ask("a")
			elapse(20 * time.Minute)
			sel.Done(served)
			elapse(ttl - 1)
		}, want: affinity.ReasonInherited, target: "a"},
		"no longer than the answer": {work: func(_ *scripted, ask func(...string) *affinity.Selection[string]) {
			for _, r := range []affinity.Result{affinity.Neutral, affinity.TransientFailure} {
				sel := ask("a")
				elapse(20 * time.Minute)
				sel.Done(affinity.Outcome{Result: r})
			}
		}, want: affinity.ReasonNew, target: "0"},
		"at the end of a detour that streams": {policy: affinity.FailoverReturn, work: func(_ *scripted, ask func(...string) *affinity.Selection[string]) {
			ask("a").Done(served)
			elapse(time.Second)
			sel := ask("b")
			elapse(ttl - 2*time.Second)
			sel.Done(served)
			elapse(time.Minute)
		}, want: affinity.ReasonBound, target: "b"},
		"on a detour that streams": {policy: affinity.FailoverReturn, work: func(_ *scripted, ask func(...string) *affinity.Selection[string]) {
			ask("a").Done(served)
			elapse(time.Second)
			sel := ask("b")
			elapse(20 * time.Minute)
			sel.Done(served)
		}, want: affinity.ReasonBound, target: "b"},
		"on a detour that streams, beside another turn": {policy: affinity.FailoverReturn, work: func(x *scripted, ask func(...string) *affinity.Selection[string]) {
			ask("a").Done(served)
			elapse(time.Second)
			ask("b")
			x.now = extract.Session{Source: "x", ID: "other", Aliases: x.now.Aliases, Continues: x.now.Aliases}
			ask("b").Done(affinity.Outcome{})
			elapse(20 * time.Minute)
		}, want: affinity.ReasonBound, target: "b"},
		"not by an outcome that comes late": {work: func(_ *scripted, ask func(...string) *affinity.Selection[string]) {
			late := ask("a")
			ask("b").Done(served)
			ask("a").Done(served)
			elapse(ttl - 1)
			late.Done(served)
			elapse(1)
		}, want: affinity.ReasonNew, target: "0"},
		"not by a failure": {work: func(_ *scripted, ask func(...string) *affinity.Selection[string]) {
			ask("a").Done(served)
			elapse(ttl - 1)
			ask("a").Done(affinity.Outcome{Result: affinity.TransientFailure})
			elapse(1)
		}, want: affinity.ReasonNew, target: "0"},
		"on a detour": {policy: affinity.FailoverReturn, work: func(_ *scripted, ask func(...string) *affinity.Selection[string]) {
			ask("a").Done(served)
			for range 4 {
				elapse(time.Minute)
				ask("b").Done(served)
			}
		}, want: affinity.ReasonDetour, target: "b"},
		"on a detour for long": {policy: affinity.FailoverReturn, work: func(_ *scripted, ask func(...string) *affinity.Selection[string]) {
			ask("a").Done(served)
			for range 20 {
				elapse(time.Minute)
				ask("b").Done(served)
			}
		}, want: affinity.ReasonInherited, target: "b"},
		"no detour for another session": {policy: affinity.FailoverReturn, work: func(x *scripted, ask func(...string) *affinity.Selection[string]) {
			ask("x").Done(served)
			was := x.now
			x.now = extract.Session{Source: "x", ID: "other", Aliases: was.Aliases}
			ask("a").Done(served)
			x.now = was
			elapse(time.Minute)
			ask("b").Done(served)
		}, want: affinity.ReasonInherited, target: "a"},
		"not what another session has taken over": {work: func(x *scripted, ask func(...string) *affinity.Selection[string]) {
			ask("a").Done(served)
			was := x.now
			x.now = extract.Session{Source: "x", ID: "other", Aliases: was.Aliases}
			ask("a").Done(served)
			x.now = was
			for range 5 {
				elapse(time.Minute)
				ask("a").Done(served)
			}
		}, want: affinity.ReasonNew, target: "0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				x := &scripted{now: turn(1)}
				s := newSelector(t, affinity.Config[string]{TTL: ttl, Failover: c.policy, Extractor: x, Fallback: balance.FillFirst[string]()})
				c.work(x, func(candidates ...string) *affinity.Selection[string] {
					return mustSelect(t, s, new(extract.Request), candidates...)
				})
				x.now = turn(2)
				sel := mustSelect(t, s, new(extract.Request), "0", "b", "a")
				if c.want == affinity.ReasonDetour { // unless it is its turn to return
					sel = mustSelect(t, s, new(extract.Request), "0", "b")
				}
				require.Equal(t, c.want, sel.Reason)
				require.Equal(t, c.target, sel.Target)
			})
		})
	}
}

// What a session goes on from is as warm as itself: whoever goes back a turn after a long
// while of tools is where the prompt is, in the same session.
func TestWhatIsContinuedSlides(t *testing.T) {
	t.Parallel()
	for r := affinity.Neutral; r <= affinity.TransientFailure; r++ {
		synctest.Test(t, func(t *testing.T) {
			s := newSelector(t, affinity.Config[string]{TTL: 5 * time.Minute, Fallback: balance.FillFirst[string]()})
			first := mustSelect(t, s, chatTurn(1, 1), "a")
			first.Done(served)
			mustSelect(t, s, chatTurn(1, 2), "a").Done(served)
			for range 20 {
				elapse(time.Minute)
				mustSelect(t, s, chatTurn(1, 3), "a").Done(affinity.Outcome{Result: r})
			}
			again := mustSelect(t, s, chatTurn(1, 2), "0", "a")
			require.Equal(t, r == affinity.Served, again.Target == "a", "%v", r)
			require.Equal(t, r == affinity.Served, again.Session == first.Session, "%v", r)
		})
	}

	// However many parts the words have.
	synctest.Test(t, func(t *testing.T) {
		const words = `{"role":"user","content":[{"type":"text","text":"one"},{"type":"text","text":"two"}]}`
		parts := func(turn int) *extract.Request {
			return body(`{"messages":[` + words + strings.Repeat(`,{"role":"assistant","content":"ok"},`+words, turn-1) + `]}`)
		}
		s := newSelector(t, affinity.Config[string]{TTL: 5 * time.Minute, Fallback: balance.FillFirst[string]()})
		mustSelect(t, s, parts(1), "a").Done(served)
		for range 20 {
			elapse(time.Minute)
			mustSelect(t, s, parts(2), "a").Done(served)
		}
		require.Equal(t, "a", mustSelect(t, s, parts(1), "0", "a").Target)
	})

	// But not where the earlier turn is another's by now, or elsewhere.
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{TTL: 5 * time.Minute, Fallback: balance.FillFirst[string]()})
		mustSelect(t, s, chatTurn(1, 1), "a").Done(served)
		mustSelect(t, s, chatTurn(1, 2), "a").Done(served)
		mustSelect(t, s, chatTurn(1, 1), "b").Done(served)
		elapse(4 * time.Minute)
		mustSelect(t, s, chatTurn(1, 2), "a").Done(served)
		elapse(time.Minute)
		require.Equal(t, "0", mustSelect(t, s, chatTurn(1, 1), "0", "a", "b").Target)
	})
}

// A failure takes back what it did to an alias, and not what another turn did before.
func TestAliasOfTwoTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := &scripted{}
		s := newSelector(t, affinity.Config[string]{TTL: time.Hour, Extractor: x, Fallback: balance.FillFirst[string]()})
		ask := func(id string, result affinity.Result, candidates ...string) string {
			x.now = extract.Session{Source: "x", ID: id, Aliases: []string{"alias"}, Continues: []string{"alias"}}
			sel := mustSelect(t, s, new(extract.Request), candidates...)
			sel.Done(affinity.Outcome{Result: result})
			return sel.Target
		}
		ask("0", affinity.Served, "a")
		elapse(50 * time.Minute)
		ask("1", affinity.Served, "a")
		elapse(5 * time.Minute)
		ask("0", affinity.TransientFailure, "a")
		elapse(50 * time.Minute)
		require.Equal(t, "a", ask("2", affinity.Served, "b", "a"))
	})
}

// Whoever takes over an alias from another conversation does not take over where that was
// before it moved.
func TestAliasOfAConversationThatHasMoved(t *testing.T) {
	t.Parallel()
	x := new(scripted)
	s := newSelector(t, affinity.Config[string]{Extractor: x, Fallback: balance.FillFirst[string]()})
	ask := func(sess extract.Session, candidates ...string) *affinity.Selection[string] {
		sess.Source = "x"
		x.now = sess
		return mustSelect(t, s, new(extract.Request), candidates...)
	}
	ask(extract.Session{ID: "1", Aliases: []string{"alias"}}, "a")
	ask(extract.Session{ID: "1", Aliases: []string{"alias"}}, "b")
	ask(extract.Session{ID: "2", Aliases: []string{"alias"}}, "c")
	sel := ask(extract.Session{ID: "3", Continues: []string{"alias"}}, "d", "a")
	require.Equal(t, []any{"d", affinity.ReasonFailover, "c"}, []any{sel.Target, sel.Reason, sel.From})
}

// It is remembered where a conversation was before it moved, also by its next turn, though the
// home after that had nothing of it left when it came back.
func TestAliasKeepsTheSecondPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := new(scripted)
		s := newSelector(t, affinity.Config[string]{Extractor: x, Fallback: balance.FillFirst[string]()})
		ids := newSelector(t, affinity.Config[string]{Cache: s.Cache()})
		teach(t, ids, "b")
		ask := func(n, turn int, candidates ...string) *affinity.Selection[string] {
			alias := func(turn int) []string { return []string{fmt.Sprint(n, " alias ", turn)} }
			x.now = extract.Session{Source: "x", ID: fmt.Sprint(n, " ", turn), Aliases: alias(turn), Continues: alias(turn - 1)}
			sel := mustSelect(t, s, new(extract.Request), candidates...)
			sel.Done(served)
			return sel
		}
		for _, target := range []string{"a", "b"} {
			for n := range 40 {
				ask(n, 1, target)
			}
			elapse(time.Second)
		}
		elapse(10 * time.Minute)
		expired := 0
		for n := range 40 {
			if ask(n, 1, "c", "b").Reason == affinity.ReasonExpired {
				expired++
				require.Equal(t, "a", ask(n, 2, "0", "a").Target)
			}
		}
		require.Greater(t, expired, 20)
	})
}

// An alias that is the session's own ID is none: the outcome finds its binding.
func TestAliasOfItsOwn(t *testing.T) {
	t.Parallel()
	x := &scripted{now: extract.Session{Source: "x", ID: "1", Aliases: []string{"1", "2"}}}
	s := newSelector(t, affinity.Config[string]{Extractor: x})
	sel := mustSelect(t, s, new(extract.Request), "a", "b")
	sel.Done(affinity.Outcome{Result: affinity.TerminalFailure})
	require.Empty(t, s.Counts())
	require.Equal(t, []string{"1", "2"}, x.now.Aliases, "the extractor's own")
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	outcome := func(r affinity.Result) affinity.Outcome { return affinity.Outcome{Result: r} }

	t.Run("neutral and transient ones leave the binding", func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{})
		for _, r := range []affinity.Result{affinity.Neutral, affinity.TransientFailure} {
			mustSelect(t, s, session(r.String()), "a", "b").Done(outcome(r))
			require.Equal(t, affinity.ReasonBound, mustSelect(t, s, session(r.String()), "a", "b").Reason)
		}
	})
	t.Run("a terminal one drops it", func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{})
		sel := mustSelect(t, s, session("s"), "a", "b")
		sel.Done(outcome(affinity.TerminalFailure))
		require.Zero(t, s.Cache().Len())
		require.Equal(t, affinity.ReasonNew, mustSelect(t, s, session("s"), "a", "b").Reason)
	})
	// What was dropped must not come back by way of what the session inherits.
	t.Run("a terminal one is not inherited back", func(t *testing.T) {
		all := []string{"a", "b", "c"}
		turns := []*extract.Request{
			body(`{"messages":[{"role":"user","content":"hello"}]}`),
			body(`{"messages":[{"role":"user","content":"hello"},{"role":"assistant","content":"hi"},{"role":"user","content":"go on"}]}`),
		}
		s := newSelector(t, affinity.Config[string]{})
		mustSelect(t, s, turns[0], all...)
		last := mustSelect(t, s, turns[1], all...)
		require.Equal(t, affinity.ReasonInherited, last.Reason)
		last.Done(outcome(affinity.TerminalFailure))
		again := mustSelect(t, s, turns[1], all...)
		require.Equal(t, affinity.ReasonNew, again.Reason)
		require.NotEqual(t, last.Target, again.Target)

		s = newSelector(t, affinity.Config[string]{})
		mustSelect(t, s, claudeAgent("s1", "", ""), all...)
		mustSelect(t, s, claudeAgent("s2", "", ""), all[0]) // another session there
		thread := mustSelect(t, s, claudeAgent("s1", "a1", ""), all...)
		thread.Done(outcome(affinity.TerminalFailure))
		require.NotEqual(t, thread.Target, mustSelect(t, s, claudeAgent("s1", "a1", ""), all...).Target)
		require.Equal(t, affinity.ReasonBound, mustSelect(t, s, claudeAgent("s2", "", ""), all...).Reason)

		// Of a nested thread, what started it is left as well, and not the root.
		s = newSelector(t, affinity.Config[string]{})
		mustSelect(t, s, claudeAgent("s1", "", ""), "b")
		mustSelect(t, s, claudeAgent("s1", "a1", ""), "a")
		thread = mustSelect(t, s, claudeAgent("s1", "a2", "a1"), all...)
		require.Equal(t, "a", thread.Target)
		thread.Done(outcome(affinity.TerminalFailure))
		require.Equal(t, "b", mustSelect(t, s, claudeAgent("s1", "a2", "a1"), all...).Target)

		// A neighbour is another session, which has not failed.
		x := new(scripted)
		s = newSelector(t, affinity.Config[string]{Extractor: x})
		x.now = extract.Session{Source: "x", ID: "1"}
		mustSelect(t, s, new(extract.Request), "a")
		x.now = extract.Session{Source: "x", ID: "2", Near: []string{"1"}}
		near := mustSelect(t, s, new(extract.Request), all...)
		require.Equal(t, "a", near.Target)
		near.Done(outcome(affinity.TerminalFailure))
		x.now = extract.Session{Source: "x", ID: "1"}
		require.Equal(t, affinity.ReasonBound, mustSelect(t, s, new(extract.Request), all...).Reason)

		// A session whose root has moved on keeps it.
		s = newSelector(t, affinity.Config[string]{})
		mustSelect(t, s, claudeAgent("s1", "", ""), "a")
		thread = mustSelect(t, s, claudeAgent("s1", "a1", ""), all...)
		mustSelect(t, s, claudeAgent("s1", "", ""), "b")
		thread.Done(outcome(affinity.TerminalFailure))
		require.Equal(t, affinity.ReasonBound, mustSelect(t, s, claudeAgent("s1", "", ""), all...).Reason)
	})
}

func TestOutcomeOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status int
		err    error
		want   affinity.Result
	}{
		{0, nil, affinity.Neutral},
		{101, nil, affinity.Served},
		{200, nil, affinity.Served},
		{304, nil, affinity.Served},
		{400, nil, affinity.Neutral},
		{401, nil, affinity.TerminalFailure},
		{402, nil, affinity.TerminalFailure},
		{403, nil, affinity.TerminalFailure},
		{404, nil, affinity.Neutral},
		{408, nil, affinity.TransientFailure},
		{413, nil, affinity.Neutral},
		{425, nil, affinity.TransientFailure},
		{429, nil, affinity.TransientFailure},
		{499, nil, affinity.Neutral},
		{500, nil, affinity.TransientFailure},
		{529, nil, affinity.TransientFailure},
		{0, errors.New("connection refused"), affinity.TransientFailure},
		{200, errors.New("died in mid-stream"), affinity.TransientFailure},
		{0, context.DeadlineExceeded, affinity.TransientFailure},
		{0, fmt.Errorf("round trip: %w", context.Canceled), affinity.Neutral},
		{500, context.Canceled, affinity.Neutral},
		{-7, nil, affinity.Neutral},
		{99999, nil, affinity.Neutral},
	} {
		require.Equal(t, tt.want, affinity.OutcomeOf(tt.status, tt.err).Result, "%d %v", tt.status, tt.err)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for r := range newSelector(t, affinity.Config[string]{}).Stats().Selected { // all that there are
		require.Regexp(t, `^[a-z-]+$`, r.String(), "%d", r)
		seen[r.String()] = true
	}
	for r := affinity.Neutral; r <= affinity.TerminalFailure; r++ {
		require.Regexp(t, `^[a-z-]+$`, r.String())
		seen[r.String()] = true
	}
	require.Len(t, seen, 15)
	require.Equal(t, "<unknown affinity.Reason>", affinity.Reason(0).String())
	require.Equal(t, "<unknown affinity.Reason>", (affinity.ReasonSideCall + 1).String())
	require.Equal(t, "<unknown affinity.Reason>", affinity.Reason(99).String())
	require.Equal(t, "<unknown affinity.Result>", affinity.Result(99).String())
}

func TestInvalidateSessionByDigest(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{})
	sel := mustSelect(t, s, session("s"), "a", "b")
	mustSelect(t, s, session("t"), "a", "b")
	require.Equal(t, 1, s.InvalidateSession(sel.Session))
	require.Equal(t, 1, s.Cache().Len())
	_, ok := s.Peek(session("t"))
	require.True(t, ok)
}

// A conversation that is known by its messages has a binding a turn: to
// invalidate it is to invalidate what it would inherit.
func TestInvalidateTrail(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{})
	turn := func(messages string) *extract.Request {
		return &extract.Request{Body: []byte(`{"messages":[` + messages + `]}`)}
	}
	const one = `{"role":"user","content":"hello"}`
	const two = one + `,{"role":"assistant","content":"hi"},{"role":"user","content":"how are you?"}`
	first := mustSelect(t, s, turn(one), "a", "b", "c")
	require.Equal(t, "trail", first.Source)
	second := mustSelect(t, s, turn(two), "a", "b", "c")
	require.Equal(t, affinity.ReasonInherited, second.Reason)
	require.Equal(t, first.Session, second.Session)
	require.True(t, s.Invalidate(turn(two)))
	require.Zero(t, s.Cache().Len())
	require.Equal(t, affinity.ReasonNew, mustSelect(t, s, turn(two), "a", "b", "c").Reason)
}

// A new configuration takes over the bindings.
func TestCacheOutlivesItsSelector(t *testing.T) {
	t.Parallel()
	old := newSelector(t, affinity.Config[string]{})
	home := map[string]string{}
	for i := range 100 {
		id := fmt.Sprint(i)
		home[id] = mustSelect(t, old, session(id), "a", "b", "c").Target
	}
	next := newSelector(t, affinity.Config[string]{Cache: old.Cache(), Fallback: always("d")})
	require.NoError(t, old.Close())
	for id, target := range home {
		require.Equal(t, target, mustSelect(t, next, session(id), "d", "c", "b", "a").Target)
	}
}

// There is nothing to leak, and Close may come twice.
func TestClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // fails if a goroutine stays behind
		for range 100 {
			s := newSelector(t, affinity.Config[string]{})
			under := mustSelect(t, s, session("s"), "a", "b")
			require.NoError(t, s.Close())
			require.NoError(t, s.Close())
			after := mustSelect(t, s, session("s"), "a", "b")
			require.Equal(t, affinity.ReasonNoSession, after.Reason)
			require.Empty(t, after.Source, "nobody's")
			require.Equal(t, 1, s.Cache().Len(), "the Cache is left alone")
			under.Learn("resp_1")
			require.Equal(t, 2, s.Cache().Len(), "but for what is learned of requests under way")
			_, ok := s.Peek(session("s"))
			require.False(t, ok, "Select would not start from it")
			require.True(t, s.Invalidate(session("s")), "and for what is of no use to anybody")
			require.Equal(t, 1, s.Cache().Len())
		}
		newSelector(t, affinity.Config[string]{}) // never closed
	})
}

// Nor does anything keep a Selector that was dropped: not the Cache, which goes on in the
// Selectors of later configurations, and not what was never reported.
func TestDroppedSelectorIsFreed(t *testing.T) {
	t.Parallel()
	c := newCache(t, affinity.CacheConfig{})
	dropped := func() weak.Pointer[affinity.Selector[string]] {
		s := newSelector(t, affinity.Config[string]{Cache: c, Fallback: balance.LeastCost(balance.CostConfig[string]{ID: self}), Failover: affinity.FailoverReturn})
		mustSelect(t, s, session("s"), "a").Learn("resp_1")
		mustSelect(t, s, session("s"), "b").Done(served)
		s.Drain("a", time.Time{})
		return weak.Make(s)
	}()
	runtime.GC()
	require.Nil(t, dropped.Value())
	require.NotZero(t, c.Len())
}

func TestSelectorsNest(t *testing.T) {
	t.Parallel()
	type node struct {
		region, name string
		models       []string // of any type: nodes cannot be compared
	}
	byRegion, err := affinity.New(affinity.Config[node]{
		ID:       func(n node) string { return n.region + "/" + n.name },
		Fallback: balance.RoundRobin[node](),
		// Coarser than the outer one: all sessions of a user share a node.
		Extractor: extract.Header("X-User"),
	})
	require.NoError(t, err)
	s, err := affinity.New(affinity.Config[node]{
		ID:       func(n node) string { return n.region + "/" + n.name },
		Fallback: byRegion,
	})
	require.NoError(t, err)
	nodes := []node{{"eu", "1", nil}, {"eu", "2", nil}, {"us", "1", nil}}
	ask := func(user, id string) node {
		n, err := s.Pick(t.Context(), &extract.Request{Header: http.Header{"X-User": {user}, "X-Session-Id": {id}}}, nodes)
		require.NoError(t, err)
		return n
	}
	require.Equal(t, ask("u", "1"), ask("u", "2"))
	require.NotEqual(t, ask("u", "1"), ask("v", "3"))
}

// Expiry is a chance to place anew.
func TestExpiredSessionIsPlacedAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{TTL: time.Minute})
		first := mustSelect(t, s, session("s"), "a", "b")
		first.Done(affinity.Outcome{Result: affinity.Served})
		elapse(time.Minute)
		next := mustSelect(t, s, session("s"), "a", "b")
		require.Equal(t, affinity.ReasonNew, next.Reason)
		require.NotEqual(t, first.Target, next.Target)
	})
}

// However long the fallback takes, a binding lives for a TTL from its answer on.
func TestBindingOfASlowFallback(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSelector(t, affinity.Config[string]{TTL: time.Minute, Fallback: affinity.PickerFunc[string](func(_ context.Context, _ *extract.Request, candidates []string) (string, error) {
			elapse(2 * time.Minute)
			return candidates[0], nil
		})})
		_, err := s.Pick(t.Context(), session("s"), []string{"a"})
		require.NoError(t, err)
		elapse(time.Minute - 1)
		require.Equal(t, "a", mustPeek(t, s, session("s")).Target)
		elapse(1)
		_, ok := s.Peek(session("s"))
		require.False(t, ok)
	})
}

// Placing a session is free of garbage, in a table that is full too, and when its
// home is gone.
func TestPlacingDoesNotAllocate(t *testing.T) {
	s := newSelector(t, affinity.Config[string]{Capacity: 1000})
	ctx := t.Context()
	one, other := []string{"a", "b"}, []string{"c", "d"}
	reqs := make([]*extract.Request, 4000)
	for i := range reqs {
		reqs[i] = session(fmt.Sprint(i))
	}
	for i, req := range reqs {
		_, err := s.Select(ctx, req, [][]string{one, other}[i%2])
		require.NoError(t, err)
	}
	i := 0
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		sel, err := s.Select(ctx, reqs[i], one)
		if err != nil || sel.Reason != affinity.ReasonNew {
			t.Error(err, sel.Reason)
		}
		sel.Done(affinity.Outcome{Result: affinity.Served})
		i++
	}))
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		one, other = other, one
		sel, err := s.Select(ctx, reqs[i-1], one)
		if err != nil || sel.Reason != affinity.ReasonFailover {
			t.Error(err, sel.Reason)
		}
	}))
}

// A hit on an id in a header is free of garbage, however many candidates.
func TestHitDoesNotAllocate(t *testing.T) {
	s := newSelector(t, affinity.Config[string]{})
	var candidates []string
	for i := range 512 {
		candidates = append(candidates, fmt.Sprint(i))
	}
	ctx, body := t.Context(), []byte(`{"previous_response_id":"resp_1","messages":[{"role":"user","content":"hi"}]}`)
	for name, h := range map[string]http.Header{
		"a session":          {"X-Session-Id": {"s"}},
		"one of a parent":    {"X-Session-Id": {"child"}, "X-Parent-Session-Id": {"s"}},
		"a sub-agent":        {"X-Claude-Code-Session-Id": {"s"}, "X-Claude-Code-Agent-Id": {"a"}},
		"one of a sub-agent": {"X-Claude-Code-Session-Id": {"s"}, "X-Claude-Code-Agent-Id": {"b"}, "X-Claude-Code-Parent-Agent-Id": {"a"}},
		"a thread":           {"Session-Id": {"s"}, "Thread-Id": {"t"}},
	} {
		req := new(extract.Request)
		require.Zero(t, testing.AllocsPerRun(100, func() {
			// A new one each time. What is in the body would be allocated if anybody looked.
			*req = extract.Request{Header: h, Body: body}
			sel, _ := s.Select(ctx, req, candidates)
			sel.Done(affinity.Outcome{Result: affinity.Served})
		}), name)
	}
}

// Where some candidates come and go, those that stay are found near where they stood, and
// all are found wherever they stand.
func TestHitLooksNearby(t *testing.T) {
	t.Parallel()
	var all []string
	for i := range 100 {
		all = append(all, fmt.Sprint("t", i))
	}
	asked := 0
	s := newSelector(t, affinity.Config[string]{
		ID:       func(target string) string { asked++; return target },
		Fallback: always("t50"),
	})
	for _, tt := range []struct {
		candidates []string
		most       int // calls of ID
	}{
		{all, 200}, // places it
		{all, 100}, // looks for it
		{all, 1},
		{all[1:], 20},
		{all, 20},
		{all[7:], 20},
		{all, 20},
		{all[:51], 1},
		{all[50:], 101},
		{all, 101},
		{slices.Concat(all[51:], all[:51]), 101},
		{all[50:51], 2},
	} {
		asked = 0
		got, err := s.Pick(t.Context(), session("x"), tt.candidates)
		require.NoError(t, err)
		require.Equal(t, "t50", got)
		require.LessOrEqual(t, asked, tt.most, "%d candidates", len(tt.candidates))
	}
}

// A hit on an id in a body leaves nothing for the garbage collector but the id,
// wherever it stands and however large the body is.
func TestHitOnABodyIDAllocatesTheID(t *testing.T) {
	const id = `"conversation_id":"3f1c9a52-7f0e-4d3b-9a67-0c2be41d8e55"`
	messages := func(n int) string {
		return `[{"role":"user","content":"` + strings.Repeat(`say \"hi\" {[ `, n/14) + `"}]`
	}
	s := newSelector(t, affinity.Config[string]{})
	candidates, ctx := []string{"a", "b", "c"}, t.Context()
	for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
		for _, body := range []string{
			`{` + id + `,"messages":` + messages(size) + `}`,
			`{"messages":` + messages(size) + `,` + id + `,"tools":` + messages(size) + `}`,
			`{"messages":` + messages(size) + `,` + id + `}`,
		} {
			data, req := []byte(body), new(extract.Request)
			require.LessOrEqual(t, testing.AllocsPerRun(10, func() {
				*req = extract.Request{Body: data}
				if _, err := s.Pick(ctx, req, candidates); err != nil {
					panic(err)
				}
			}), 1.0, "%d: %.40s", size, body)
		}
	}
}

// Numbers of targets are used again, never under a reader's hands: the table of
// targets stays small, and no binding changes its target.
func TestManyShortLivedTargets(t *testing.T) {
	long(t)
	t.Parallel()
	c := newCache(t, affinity.CacheConfig{Capacity: 64})
	keep := c.Key("keep")
	c.Set(keep, "kept")
	for i := range 20_000 {
		name := fmt.Sprint("pod-", i)
		k := c.Key(name)
		require.Equal(t, name, c.Set(k, name).Target)
		target, ok := c.Get(k)
		require.True(t, ok)
		require.Equal(t, name, target)
		if i%2 == 0 {
			c.DeleteTarget(name)
			_, ok = c.Get(k)
			require.False(t, ok)
		}
		target, ok = c.Get(keep)
		require.True(t, ok)
		require.Equal(t, "kept", target)
	}
}

// Everything at once: run with -race.
func TestSelectorUnderFire(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{TTL: time.Millisecond, Capacity: 500})
	all := []string{"a", "b", "c", "d", "e"}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 3000 {
				candidates := all[(i+g)%3:]
				sel, err := s.Select(t.Context(), session(fmt.Sprint(i*g%800)), candidates)
				if err != nil || !slices.Contains(candidates, sel.Target) {
					t.Errorf("%v %v", sel.Target, err)
				}
				sel.Done(affinity.Outcome{Result: affinity.Result(i % 4)})
				switch {
				case i%100 == 0:
					s.InvalidateTarget(sel.ID)
				case i%37 == 0:
					s.Invalidate(session(fmt.Sprint(i % 800)))
				case i%500 == 1:
					s.Counts()
					s.InvalidateSession(sel.Session)
				}
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, s.Cache().Len(), 500)
}

func TestTTLBeyondTheClock(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{TTL: math.MaxInt64})
	mustSelect(t, s, session("s"), "a", "b")
	require.Equal(t, affinity.ReasonBound, mustSelect(t, s, session("s"), "a", "b").Reason)
}

// A Selection that is waiting for its outcome keeps no request, and so no body, in memory.
func TestSelectionKeepsNoRequest(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{})
	req := chatTurn(1, 3)
	there := weak.Make(req)
	sel := mustSelect(t, s, req, "a")
	require.NotNil(t, there.Value())
	req = nil
	runtime.GC()
	require.Nil(t, there.Value())
	sel.Done(served)
}

// A session without a home goes on at its own second place rather than where an earlier turn is.
func TestSecondPlaceBeforeAnEarlierTurn(t *testing.T) {
	t.Parallel()
	x := new(scripted)
	s := newSelector(t, affinity.Config[string]{Extractor: x})
	earlier := extract.Session{Source: "x", ID: "1"}
	for _, step := range []struct {
		sess   extract.Session
		target string
	}{{earlier, "a"}, {extract.Session{Source: "x", ID: "2", Continues: []string{"1"}}, "a"}, {earlier, "c"}, {extract.Session{Source: "x", ID: "2", Continues: []string{"1"}}, "b"}} {
		x.now = step.sess
		mustSelect(t, s, new(extract.Request), step.target)
	}
	s.InvalidateTarget("b")
	require.Equal(t, "a", mustSelect(t, s, new(extract.Request), "c", "b", "a").Target)
}

// Invalidate takes what a thread would start from again.
func TestInvalidateAThread(t *testing.T) {
	t.Parallel()
	s := newSelector(t, affinity.Config[string]{})
	for _, req := range []*extract.Request{claudeAgent("s1", "", ""), claudeAgent("s1", "a1", ""), claudeAgent("s1", "a2", "a1")} {
		mustSelect(t, s, req, "a")
	}
	require.True(t, s.Invalidate(claudeAgent("s1", "a2", "a1")))
	require.Equal(t, affinity.ReasonNew, mustSelect(t, s, claudeAgent("s1", "a2", "a1"), "a", "b").Reason)
}

// Invalidate takes what the session goes on from, and leaves what is a neighbour's.
func TestInvalidateATurn(t *testing.T) {
	t.Parallel()
	x := new(scripted)
	s := newSelector(t, affinity.Config[string]{Extractor: x})
	for id, session := range map[string]extract.Session{
		"earlier":   {Source: "x", ID: "2", Continues: []string{"1"}},
		"neighbour": {Source: "x", ID: "2", Near: []string{"1"}},
	} {
		x.now = extract.Session{Source: "x", ID: "1"}
		mustSelect(t, s, new(extract.Request), "a")
		x.now = session
		require.Equal(t, id == "earlier", s.Invalidate(new(extract.Request)))
		x.now = extract.Session{Source: "x", ID: "1"}
		_, ok := s.Peek(new(extract.Request))
		require.Equal(t, id == "neighbour", ok)
	}
}

// Where the candidates are not listed if the home can serve, sessions stay there.
func TestPeekedHomeAsTheOnlyCandidate(t *testing.T) {
	t.Parallel()
	for name, play := range map[string]func(*affinity.Selector[string], *auditor) *extract.Request{
		"bound": func(*affinity.Selector[string], *auditor) *extract.Request { return session("s") },
		"a later turn": func(s *affinity.Selector[string], _ *auditor) *extract.Request {
			mustSelect(t, s, chatTurn(1, 1), "a").Done(served)
			return chatTurn(1, 2)
		},
		"overloaded": func(s *affinity.Selector[string], a *auditor) *extract.Request {
			mustSelect(t, s, chatTurn(1, 1), "a").Done(served)
			a.overload("a")
			return chatTurn(1, 2)
		},
		"drained": func(s *affinity.Selector[string], _ *auditor) *extract.Request {
			s.Drain("a", time.Now().Add(time.Second))
			elapse(2 * time.Second)
			return session("s")
		},
		"idle": func(s *affinity.Selector[string], _ *auditor) *extract.Request {
			teach(t, s, "a")
			elapse(10 * time.Minute)
			return session("s")
		},
		"away": func(s *affinity.Selector[string], _ *auditor) *extract.Request {
			mustSelect(t, s, session("s"), "b").Done(served)
			elapse(time.Second)
			return session("s")
		},
	} {
		for policy, p := range policies {
			t.Run(name+" "+policy, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a := newAuditor(t)
					s := newSelector(t, affinity.Config[string]{Fallback: a, Failover: p, TTL: time.Hour})
					mustSelect(t, s, session("s"), "a").Done(served)
					elapse(time.Second)
					req := play(s, a)
					home := mustPeek(t, s, req).Target
					mustSelect(t, s, req, home).Done(served)
					elapse(time.Hour - 1)
					require.Equal(t, home, mustPeek(t, s, req).Target)
				})
			})
		}
	}
}
