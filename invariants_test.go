package affinity_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// Whatever is done to a Selector and its Cache, and in whatever order, some things hold.
// Here everything is done at random. Where a session goes is not foretold, as it is in
// TestAgainstAModel, which knows but one kind of session.
func TestInvariants(t *testing.T) {
	t.Parallel()
	seeds := uint64(16)
	if testing.Short() {
		seeds = 4
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { runRiot(t, seed, 1000) })
		})
	}
}

// A riot is what does all that, and knows what it has done.
type riot struct {
	*testing.T
	*rand.Rand
	cfg      affinity.Config[string]
	s        *affinity.Selector[string]
	balancer *auditor
	sessions map[*extract.Request]extract.Session // what the extractor says
	owners   map[affinity.Digest]string           // who is known by it
	digests  map[string]affinity.Digest           // the same of sessions by id
	beside   map[*affinity.Selection[string]]bool // side calls
	turns    [4]int                               // of conversations that are known by their messages
	streams  []*affinity.Selection[string]        // those under way
	invalid  string                               // the target that was invalidated last
	step     string                               // what is being done, to be told if it fails
}

var riotTargets = []string{"a", "b", "c", "d"}

func runRiot(t *testing.T, seed uint64, steps int) {
	r := &riot{T: t, Rand: rand.New(rand.NewPCG(seed, 5)), balancer: newAuditor(t), sessions: map[*extract.Request]extract.Session{}, digests: map[string]affinity.Digest{}, owners: map[affinity.Digest]string{}, beside: map[*affinity.Selection[string]]bool{}}
	r.configure()
	down := map[string]bool{}
	for step := range steps {
		elapse(time.Duration(1 + r.Int64N(int64(10*time.Second))))
		if r.IntN(15) == 0 {
			elapse(time.Duration(r.Int64N(int64(8 * time.Minute))))
		}
		target := riotTargets[r.IntN(4)]
		candidates := slices.DeleteFunc(slices.Clone(riotTargets), func(c string) bool { return down[c] || r.IntN(10) == 0 })
		r.step = fmt.Sprintf("step %d", step)
		switch x := r.IntN(100); {
		case x < 5:
			down[target] = !down[target]
		case x == 5:
			r.s.Drain(target, []time.Time{{}, time.Now().Add(time.Duration(r.IntN(120)) * time.Second)}[r.IntN(2)])
		case x < 8:
			r.s.Resume(target)
		case x == 8 && seed%2 == 1:
			r.configure()
		case x == 9:
			r.balancer.overload(riotTargets[:r.IntN(3)]...)
		case x < 15:
			r.meddle()()
		case x < 45 && len(r.streams) > 0 || len(r.streams) > 20: // of 31 for one binding, none would be given back
			r.end(r.take())
		case x < 50:
			r.burst(r.request(), candidates)
		default:
			r.balancer.err, r.balancer.stray = []error{0: errors.New("no"), 19: nil}[r.IntN(20)], []string{0: "z", 19: ""}[r.IntN(20)]
			r.ask(r.request(), candidates)
		}
		want, all := map[string]int{}, r.all()
		for _, b := range all {
			if !b.Aside {
				want[b.Target]++
			}
		}
		require.Equal(t, want, r.s.Counts(), r.step)
		require.GreaterOrEqual(t, r.s.Cache().Len(), len(all), r.step)
	}
	if seed%4 == 0 {
		elapse(30*time.Minute + time.Hour) // more than any lifetime
		require.Empty(t, r.all(), "nothing lives on for an outcome that is never reported")
	}
	for len(r.streams) > 0 {
		r.end(r.take())
	}
	require.Empty(t, r.balancer.open)
	for _, b := range r.all() {
		require.Zero(t, b.Active, "%+v", b)
	}
}

// configure makes a Selector that takes over the Cache, if there is one.
func (r *riot) configure() {
	r.cfg = affinity.Config[string]{Fallback: r.balancer, Failover: affinity.FailoverPolicy(r.IntN(2)), Threads: affinity.ThreadPolicy(r.IntN(3)), FailPinned: r.IntN(3) == 0, SideCalls: r.IntN(5) == 0,
		Extractor: extract.ExtractorFunc(func(req *extract.Request) (extract.Session, bool) { return r.sessions[req], true })}
	if r.IntN(3) > 0 {
		minutes := []int{1 + r.IntN(20), 1 + r.IntN(20), 1 + r.IntN(20)}
		r.cfg.Lifetime = func(s extract.Session) time.Duration { return time.Duration(minutes[s.Confidence]) * time.Minute }
	}
	if r.cfg.TTL = 10 * time.Minute; r.s != nil {
		r.cfg.TTL, r.cfg.Cache = 0, r.s.Cache()
	}
	r.s = newSelector(r, r.cfg)
}

// request makes one of any kind of client.
func (r *riot) request() *extract.Request {
	n, req, state := r.IntN(4), new(extract.Request), r.IntN(8) == 0
	x := extract.Session{Source: "id", ID: fmt.Sprint("s", n), Confidence: extract.Confidence(n / 2)}
	switch r.IntN(12) {
	case 0:
		x = extract.Session{}
	case 1:
		x, state = extract.Session{Source: "state"}, true
	case 2:
		x.Thread = "t"
	case 3:
		x.Thread, x.ParentThread = "u", "t"
	case 4:
		x.Parent, x.ID = x.ID, fmt.Sprint("child", n)
	case 5, 6:
	default:
		r.turns[n] = max(0, r.turns[n]+r.IntN(4)/2-r.IntN(6)/5) // the next one, a retry, or an edit of an earlier one
		x = extract.Session{Source: "messages", ID: fmt.Sprint(n, r.turns[n]), Confidence: extract.Derived, Aliases: []string{fmt.Sprint(n, r.turns[n], "!")}, Near: []string{fmt.Sprint("start", n/2)}[:r.IntN(2)]}
		for i := r.turns[n] - 1; i >= max(0, r.turns[n]-3); i-- {
			x.Continues = append(x.Continues, fmt.Sprint(n, i, "!"))
		}
		if r.turns[n] == 0 {
			x.Aliases = append(x.Aliases, x.Near...)
		}
	}
	if state {
		id := fmt.Sprint("resp_", r.IntN(6))
		req.Body = []byte(`{"previous_response_id":"` + id + `"}`)
		if x.Source == "state" {
			x.ID = id
		}
	}
	if r.IntN(8) == 0 {
		x.Class = extract.Auxiliary
	}
	r.sessions[req] = x
	return req
}

// again is the same request once more, which is another one to the Selector.
func (r *riot) again(req *extract.Request) *extract.Request {
	retry := &extract.Request{Body: req.Body}
	r.sessions[retry] = r.sessions[req]
	return retry
}

func (r *riot) shuffled(candidates []string) []string {
	candidates = slices.Clone(candidates)
	r.Shuffle(len(candidates), func(i, j int) { candidates[i], candidates[j] = candidates[j], candidates[i] })
	return candidates // the auditor chooses the first
}

func (r *riot) all() map[affinity.Key]affinity.Binding { return maps.Collect(r.s.Cache().All()) }

// changed returns the keys whose bindings are not what they were.
func (r *riot) changed(before map[affinity.Key]affinity.Binding) (keys []affinity.Key) {
	after := r.all()
	for k := range maps.Keys(before) {
		if after[k] != before[k] {
			keys = append(keys, k)
		}
		delete(after, k)
	}
	return slices.AppendSeq(keys, maps.Keys(after))
}

// ask has the request answered, and the same at once again.
func (r *riot) ask(req *extract.Request, candidates []string) {
	x := r.sessions[req]
	first := r.answer(req, candidates)
	if first == nil || x.ID == "" || r.isBeside(x) || x.Source == "state" || r.balancer.err != nil || r.balancer.stray != "" {
		return
	}
	next, now, cfg, former := r.again(req), affinity.Binding{}, r.cfg, r.s
	switch now, _ = r.s.Peek(next); r.IntN(4) {
	case 0: // what was begun elsewhere ends now
		for i, sel := range r.streams {
			if sel != first && sel.Session == first.Session && now.Target == first.ID && !r.beside[sel] && sel.Source != "state" {
				r.streams = slices.Delete(r.streams, i, i+1)
				sel.Done(served)
				break
			}
		}
	case 1: // it is the next turn of one that has just got its bindings
		if len(x.Aliases) > 0 && (first.Reason == affinity.ReasonNew || first.Reason == affinity.ReasonInherited) {
			r.sessions[next] = extract.Session{Source: x.Source, ID: fmt.Sprint(x.ID, " and ", len(r.sessions)), Confidence: x.Confidence, Continues: x.Aliases[:1]}
		}
	case 3: // its target fails for good: what the session would take over goes, too
		if r.IntN(4) == 0 && len(x.Near) == 0 && x.Parent == "" {
			r.streams = r.streams[:len(r.streams)-1]
			first.Done(affinity.Outcome{Result: affinity.TerminalFailure})
			now, _ = r.s.Peek(next)
			require.True(r, now.Target != first.ID || now.Session != first.Session, "%s: %+v", r.step, now)
			return
		}
	case 2: // sessions that have moved may be on a detour from now on, but they are not
		if first.Reason != affinity.ReasonBound && cfg.Failover == affinity.FailoverRebind {
			r.cfg.Failover, r.cfg.Cache, r.cfg.TTL = affinity.FailoverReturn, r.s.Cache(), 0
			r.s = newSelector(r, r.cfg)
		}
	}
	second := r.answer(next, candidates)
	r.cfg, r.s = cfg, former
	if require.NotNil(r, second, r.step); second.Reason == affinity.ReasonOverload {
		return
	}
	goesOn := []affinity.Reason{affinity.ReasonBound, affinity.ReasonDetour, affinity.ReasonInherited, affinity.ReasonPinned}
	require.True(r, first.ID == second.ID && first.Session == second.Session && slices.Contains(goesOn, second.Reason) && second.Idle == 0, r.step)
}

func (r *riot) isBeside(x extract.Session) bool { return !r.cfg.SideCalls && x.Class.SideCall() }

// answer has the request answered. It returns nil if that is an error.
func (r *riot) answer(req *extract.Request, candidates []string) *affinity.Selection[string] {
	x, candidates := r.sessions[req], r.shuffled(candidates)
	before, tickets := r.all(), len(r.balancer.open)
	home, known := r.s.Peek(req)
	var state affinity.Binding // that the request refers to
	if req.Body != nil {
		named := r.again(req)
		r.sessions[named] = extract.Session{Source: "state", ID: req.Pins()[0]}
		state, _ = r.s.Peek(named)
	}
	require.Empty(r, r.changed(before), r.step)
	r.balancer.heard()

	sel, err := r.s.Select(r.Context(), req, candidates)
	calls := r.balancer.heard()
	r.step += fmt.Sprintf("; %+v of %v with %q: %v, %v %v from %q, of %+v; %v", x, candidates, req.Body, err, sel.ID, sel.Reason, sel.From, home, calls)
	if err != nil {
		pinned, ok := errors.AsType[*affinity.PinnedError](err)
		require.True(r, ok && r.cfg.FailPinned && !slices.Contains(candidates, pinned.Target) || !ok && (len(candidates) == 0 || r.balancer.err != nil || r.balancer.stray != ""), r.step)
		require.True(r, sel.Decision == (affinity.Decision{}) && len(r.balancer.open) == tickets && len(r.changed(before)) == 0, r.step)
		return nil
	}
	r.streams = append(r.streams, &sel)
	require.True(r, sel.Target == sel.ID && slices.Contains(candidates, sel.ID), r.step)
	require.Len(r, r.balancer.open, len(r.streams), r.step)
	require.True(r, !r.cfg.FailPinned || !state.State || state.Target == sel.ID, r.step)

	// What the Decision says is so.
	asked := len(calls) > 0 && strings.HasPrefix(calls[0], "place")
	is := func(reasons ...affinity.Reason) bool { return slices.Contains(reasons, sel.Reason) }
	switch {
	case is(affinity.ReasonNoSession, affinity.ReasonNew, affinity.ReasonSideCall, affinity.ReasonExpired):
		require.True(r, asked, r.step)
	case is(affinity.ReasonInherited) && home.Target != sel.ID: // it starts at the detour of what has started it
		detour := func(b affinity.Binding) bool { return b.Aside && b.Target == sel.ID }
		require.True(r, r.cfg.Failover == affinity.FailoverReturn && !asked && slices.ContainsFunc(slices.Collect(maps.Values(before)), detour), r.step)
	case is(affinity.ReasonBound, affinity.ReasonInherited, affinity.ReasonReturned):
		require.Equal(r, home.Target, sel.ID, r.step)
		require.True(r, !asked || x.Confidence == extract.Derived && r.balancer.Overloaded(sel.ID), r.step)
	case is(affinity.ReasonDetour, affinity.ReasonPinned):
		require.False(r, asked, r.step)
	}
	left := is(affinity.ReasonFailover, affinity.ReasonDetour, affinity.ReasonExpired, affinity.ReasonOverload)
	require.True(r, !left || sel.From == home.Target && home.Target != "", r.step)
	require.True(r, left || is(affinity.ReasonPinned) || is(affinity.ReasonReturned) == (sel.From != ""), r.step)
	require.True(r, sel.From != sel.ID || is(affinity.ReasonExpired), r.step)
	require.True(r, !known || sel.Session == home.Session, r.step)
	owner := x.ID
	switch {
	case r.cfg.Threads == affinity.ThreadsShare && x.Parent != "":
		owner = x.Parent
	case x.Source == "messages": // each turn may begin a session, if the one before is forgotten
		owner, _, _ = strings.Cut(x.ID, " ")
	}
	if x.Source == "id" || x.Source == "messages" {
		require.Contains(r, []string{"", owner}, r.owners[sel.Session], r.step)
		require.True(r, x.Source != "id" || r.digests[owner] == 0 || r.digests[owner] == sel.Session, r.step)
		r.owners[sel.Session], r.digests[owner] = owner, sel.Session
	}

	// What the request has changed is its own, and what it has removed is a second place.
	changed, after := r.changed(before), r.all()
	if x.ID == "" || r.isBeside(x) {
		require.Empty(r, changed, r.step)
		r.beside[&sel] = true
		return &sel
	}
	for _, k := range changed {
		b, ok := after[k]
		own, state := ok && b.Session == sel.Session || !ok && before[k].Aside, before[k].State && (b.Target != before[k].Target || !b.State)
		require.True(r, own && !state, "%s: %+v became %+v", r.step, before[k], b)
	}
	now, ok := r.s.Peek(r.again(req))
	require.True(r, x.Source == "state" || ok && now.Session == sel.Session && (now.Target == sel.ID || now.Target == sel.From), "%s: %+v", r.step, now)
	return &sel
}

// burst has the request answered several times at once. Half of the time, the candidates
// differ and there is something else going on.
func (r *riot) burst(req *extract.Request, candidates []string) {
	r.balancer.err, r.balancer.stray, r.balancer.wait = nil, "", time.Microsecond
	defer func() { r.balancer.wait = 0 }()
	r.invalid = ""
	calm, x := r.IntN(2) == 0, r.sessions[req]
	var wg sync.WaitGroup
	start := make(chan struct{}) // closed when all of them know what to ask
	if r.IntN(2) == 0 {          // the first fails, and the others ask for themselves at once
		r.balancer.err = errors.New("no")
		wg.Go(func() { <-start; elapse(1600); r.balancer.failWith(nil) })
	}
	var mu sync.Mutex
	targets := map[string]bool{}
	for range 2 + r.IntN(3) {
		retry, list, wait := r.again(req), r.shuffled(candidates), time.Duration(1+r.IntN(500))
		if !calm && len(list) > 1 {
			list = list[1:]
		}
		wg.Go(func() {
			<-start
			elapse(wait)
			sel, err := r.s.Select(r.Context(), retry, list)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				return
			}
			r.streams = append(r.streams, &sel)
			if !slices.Contains(list, sel.ID) || sel.From == sel.ID && sel.Reason != affinity.ReasonExpired || sel.From != "" && sel.Reason <= affinity.ReasonInherited {
				r.Errorf("%s: %+v of %v", r.step, sel.Decision, list)
			}
			if sel.Reason == affinity.ReasonOverload {
				clear(targets) // the others follow it
			} else {
				targets[sel.ID] = true
			}
		})
	}
	if !calm {
		meddle, wait := r.meddle(), time.Duration(1+r.IntN(1500))
		wg.Go(func() { <-start; elapse(wait); meddle() })
	}
	close(start)
	wg.Wait()
	require.Len(r, r.balancer.open, len(r.streams), r.step)
	for _, b := range r.all() {
		require.True(r, b.Target != r.invalid || slices.Contains(candidates, r.invalid), "%s: %+v came back", r.step, b)
	}
	if calm && x.ID != "" && x.Source != "state" && !r.isBeside(x) {
		require.LessOrEqual(r, len(targets), 1, "%s: %+v of %v: %v", r.step, x, candidates, targets)
	}
}

// meddle returns something that an operator does, or a request that ends.
func (r *riot) meddle() func() {
	target, from, req, coin := riotTargets[r.IntN(4)], riotTargets[r.IntN(4)], r.request(), rand.New(rand.NewPCG(r.Uint64(), 6))
	match := func(_ affinity.Key, b affinity.Binding) bool { return b.Target == from && coin.IntN(3) > 0 }
	if i := r.IntN(7); i < 5 {
		return []func(){
			func() {
				for k, b := range r.s.Cache().All() {
					if match(k, b) {
						r.s.Cache().Set(k, target)
					}
				}
			},
			func() { r.s.Cache().DeleteFunc(match) },
			func() { r.s.Cache().MoveFunc(target, match) },
			func() { r.s.InvalidateTarget(target); r.invalid = target },
			func() { r.s.Invalidate(req) },
		}[i]
	} else if len(r.streams) == 0 {
		return func() {}
	}
	sel, result := r.take(), affinity.Result(r.IntN(4))
	return func() { sel.Done(affinity.Outcome{Result: result}) }
}

// take takes one of the requests that are under way.
func (r *riot) take() *affinity.Selection[string] {
	i := r.IntN(len(r.streams))
	sel := r.streams[i]
	r.streams = slices.Delete(r.streams, i, i+1)
	return sel
}

// end reports what became of the request, twice.
func (r *riot) end(sel *affinity.Selection[string]) {
	o := affinity.Outcome{Result: []affinity.Result{affinity.Served, affinity.Served, affinity.Served, affinity.Neutral, affinity.TransientFailure, affinity.TerminalFailure}[r.IntN(6)]}
	if o.Usage.Cached = 5000; sel.Idle > 4*time.Minute && sel.ID < "c" { // these keep prompts for less long
		o.Usage = affinity.Usage{Uncached: 5000}
	}
	if o.Result == affinity.TransientFailure && r.IntN(3) > 0 { // it did not even read the prompt
		o.Usage = affinity.Usage{}
	}
	undone := o.Result == affinity.TransientFailure && o.Usage == affinity.Usage{} && sel.Reason == affinity.ReasonFailover
	r.step += fmt.Sprintf("; %v of %+v", o.Result, sel.Decision)
	for range max(0, r.IntN(6)-3) {
		sel.Learn(fmt.Sprint("resp_", r.IntN(6)))
	}
	before := r.all()
	sel.Done(o)
	sel.Done(affinity.Outcome{Result: affinity.TerminalFailure})
	after := r.all()
	for _, k := range r.changed(before) {
		was, is := before[k], after[k]
		require.True(r, was.Target == sel.ID && (was.State || was.Session == sel.Session && !r.beside[sel]), "%s: %+v", r.step, was)
		if gone := is.Target == ""; gone {
			require.True(r, o.Result == affinity.TerminalFailure || undone || was.Active == 1 && !was.Expires.After(time.Now()), "%s: %+v", r.step, was)
			continue
		}
		if undone && is.Target != was.Target { // back to where it was
			was.Aside, was.Target, was.Active, was.Expires = false, is.Target, 0, is.Expires
			require.Equal(r, was, is, r.step)
			require.True(r, r.hasSecond(before, is), "%s: %+v", r.step, is)
			continue
		}
		later := is.Expires.Compare(was.Expires)
		require.True(r, later == 0 || later > 0 && o.Result == affinity.Served || later < 0 && o.Result == affinity.TransientFailure, "%s: %+v became %+v", r.step, was, is)
		is.Active, is.Expires = was.Active, was.Expires
		require.Equal(r, was, is, r.step)
	}
}

// hasSecond reports whether b is what the second place of its session was.
func (r *riot) hasSecond(all map[affinity.Key]affinity.Binding, b affinity.Binding) bool {
	b.Aside = true
	return slices.Contains(slices.Collect(maps.Values(all)), b)
}
