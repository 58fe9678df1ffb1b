package affinity_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// The rules of the package documentation, once more and as simple as can be:
// of a session that has an id, for a Cache that is never full, without state,
// threads and learned lifetimes.
type model struct {
	ttl      time.Duration
	policy   affinity.FailoverPolicy
	sessions map[int]*modelSession
	outages  map[string]*modelOutage
	drained  map[string]time.Time // the deadline
}

type modelSession struct {
	fraction     float64
	home, second modelPlace
	began        map[*affinity.Selection[string]]time.Time
}

// A modelPlace is where a session is, or was; of no target if there is none.
type modelPlace struct {
	target  string
	used    time.Time
	streams map[*affinity.Selection[string]]time.Time // and when it was used before, if it was
}

// A modelOutage is what the sessions of a target know of its absence.
type modelOutage struct {
	away       bool
	calls      int
	from, back time.Time
	spread     time.Duration
}

func (m *model) live(p *modelPlace) bool {
	end := p.used.Add(m.ttl)
	if len(p.streams) > 0 {
		end = end.Add(time.Hour)
	}
	return p.target != "" && time.Now().Before(end)
}

func (m *model) over(target string) bool {
	until, ok := m.drained[target]
	return ok && !until.IsZero() && !time.Now().Before(until)
}

func (m *model) leaving(target string) bool { _, ok := m.drained[target]; return ok }

// open is what a session that is nobody's may be offered.
func (m *model) open(candidates []string, except string) []string {
	return slices.DeleteFunc(slices.Clone(candidates), func(c string) bool { return c == except || m.leaving(c) })
}

// expectation is what must come of a request: a target, or one of those that
// the fallback is offered.
type expectation struct {
	reason  affinity.Reason
	target  string
	offered []string
	from    string
	aside   bool // it is the second place that serves
	swap    bool // what was the home is the second place then
	promote bool // the second place is the home then
}

func (m *model) expect(n int, candidates []string) expectation {
	s := m.sessions[n]
	if !m.live(&s.home) {
		s.home = modelPlace{}
	}
	if !m.live(&s.second) {
		s.second = modelPlace{}
	}
	fallback := func(except string) []string {
		if open := m.open(candidates, except); len(open) > 0 {
			return open
		}
		return candidates
	}
	if s.home.target == "" && s.second.target != "" {
		// Its streams keep the second place alive, which remains beside.
		s.home = modelPlace{target: s.second.target, used: s.second.used}
	}
	if s.home.target == "" {
		return expectation{reason: affinity.ReasonNew, offered: fallback("")}
	}
	home, second := s.home.target, s.second.target
	there := slices.Contains(candidates, home)
	could := second != "" && second != home && slices.Contains(candidates, second) &&
		(!m.over(second) || !there && len(m.open(candidates, "")) == 0)
	away := could && s.second.used.After(s.home.used)
	if could && !away && m.leaving(second) {
		could = false
	}
	if m.policy == affinity.FailoverReturn {
		o := m.outages[home]
		if o == nil {
			o = new(modelOutage)
			m.outages[home] = o
		}
		if !there {
			if !o.away {
				o.away, o.calls, o.from = true, 0, time.Now()
			}
			o.calls++
		} else {
			o.present()
		}
		mayReturn := float64(time.Since(o.back)) >= s.fraction*float64(o.spread)
		switch {
		case away && (!there || !mayReturn) && !(m.over(second) && m.leaving(home) && mayReturn):
			return expectation{reason: affinity.ReasonDetour, target: second, from: home, aside: true, promote: false}
		case away && m.leaving(home):
			return expectation{reason: affinity.ReasonDetour, target: second, from: home, promote: true}
		case away:
			return expectation{reason: affinity.ReasonReturned, target: home, from: second}
		case !there && !m.leaving(home) && could:
			return expectation{reason: affinity.ReasonFailover, target: second, from: home, aside: true}
		case !there && !m.leaving(home):
			return expectation{reason: affinity.ReasonFailover, offered: fallback(""), from: home, aside: true}
		}
	}
	if there && !(m.over(home) && (could || len(m.open(candidates, home)) > 0)) {
		if m.policy == affinity.FailoverReturn && second != "" && second != home && s.second.used.After(s.home.used) {
			return expectation{reason: affinity.ReasonReturned, target: home, from: second}
		}
		return expectation{reason: affinity.ReasonBound, target: home}
	}
	e := expectation{reason: affinity.ReasonFailover, from: home, swap: !m.leaving(home)}
	if could {
		e.target = second
	} else {
		e.offered = fallback(home)
	}
	return e
}

// present notes that the target was among the candidates.
func (o *modelOutage) present() {
	if o == nil || !o.away {
		return
	}
	o.away = false
	spread := min(time.Since(o.from), 5*time.Minute)
	if o.calls >= 2 && time.Now().Add(spread).After(o.back.Add(o.spread)) {
		o.back, o.spread = time.Now(), spread
	}
}

// settle takes in what came of it.
func (m *model) settle(n int, e expectation, sel *affinity.Selection[string]) {
	s := m.sessions[n]
	place := &s.home
	switch {
	case e.aside:
		place = &s.second
		if s.home.streams == nil { // a second place that expect has made the home: it is bound as one
			s.home.streams = map[*affinity.Selection[string]]time.Time{}
			if !m.live(&s.home) { // it lived by its streams
				s.home.used = time.Now().Add(-1)
			}
		}
	case e.promote:
		s.home = modelPlace{}
	case e.swap:
		s.second = modelPlace{target: s.home.target, used: s.home.used}
	}
	before := place.used
	if e.offered != nil && !e.aside || e.swap || e.promote || place.target != sel.ID || place.streams == nil {
		m.outages[sel.ID].present()
		*place, before = modelPlace{target: sel.ID, streams: map[*affinity.Selection[string]]time.Time{}}, time.Time{}
	}
	place.used = time.Now()
	place.streams[sel] = before
	s.began[sel] = place.used
}

func (m *model) done(n int, sel *affinity.Selection[string], r affinity.Result) {
	s := m.sessions[n]
	for p, other := range map[*modelPlace]*modelPlace{&s.home: &s.second, &s.second: &s.home} {
		before, ok := p.streams[sel]
		if !ok {
			continue
		}
		live := m.live(p)
		delete(p.streams, sel)
		switch {
		case r == affinity.TerminalFailure:
			if other.target == p.target {
				*other = modelPlace{}
			}
			*p = modelPlace{}
		case r == affinity.Served && live && !(p == &s.second && m.live(&s.home) && !s.second.used.After(s.home.used)):
			p.used = time.Now()
		case r != affinity.TransientFailure || !live || len(p.streams) > 0 || !p.used.Equal(s.began[sel]):
		case before.IsZero() && sel.Reason == affinity.ReasonFailover:
			*p = modelPlace{}
			if p == &s.home && m.live(&s.second) && len(s.second.streams) == 0 {
				*p = modelPlace{target: s.second.target, used: s.second.used, streams: map[*affinity.Selection[string]]time.Time{}}
			}
		case !before.IsZero() && time.Now().Before(before.Add(m.ttl)):
			p.used = before // as if it had not been
		}
	}
}

func TestAgainstAModel(t *testing.T) {
	long(t)
	t.Parallel()
	for policy, p := range policies {
		for seed := range uint64(12) {
			t.Run(fmt.Sprint(policy, " ", seed), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { play(t, p, seed, 2000) })
			})
		}
	}
}

func play(t *testing.T, policy affinity.FailoverPolicy, seed uint64, steps int) {
	rng := rand.New(rand.NewPCG(seed, uint64(policy)))
	all := []string{"a", "b", "c", "d", "e"}
	var offered []string
	m := &model{ttl: 10 * time.Minute, policy: policy, sessions: map[int]*modelSession{}, outages: map[string]*modelOutage{}, drained: map[string]time.Time{}}
	s := newSelector(t, affinity.Config[string]{TTL: m.ttl, Failover: policy, Fallback: affinity.PickerFunc[string](
		func(_ context.Context, _ *extract.Request, candidates []string) (string, error) {
			offered = slices.Clone(candidates)
			return candidates[rng.IntN(len(candidates))], nil
		})})
	type stream struct {
		n   int
		sel *affinity.Selection[string]
	}
	var streams []stream
	down := map[string]bool{}
	for step := range steps {
		elapse(time.Duration(1 + rng.Int64N(int64(10*time.Second))))
		if rng.IntN(20) == 0 {
			elapse(time.Duration(rng.Int64N(int64(8 * time.Minute))))
		}
		switch x := rng.IntN(100); {
		case x < 3:
			target := all[rng.IntN(len(all))]
			down[target] = !down[target]
		case x == 3:
			target := all[rng.IntN(len(all))]
			m.drained[target] = time.Time{}
			if rng.IntN(2) == 0 {
				m.drained[target] = time.Now().Add(time.Duration(rng.Int64N(int64(5 * time.Minute))))
			}
			s.Drain(target, m.drained[target])
		case x < 6:
			target := all[rng.IntN(len(all))]
			delete(m.drained, target)
			s.Resume(target)
		case x == 6:
			n := rng.IntN(8)
			s.Invalidate(session(fmt.Sprint(n)))
			if ms := m.sessions[n]; ms != nil {
				ms.home, ms.second = modelPlace{}, modelPlace{}
			}
		case x == 7:
			target := all[rng.IntN(len(all))]
			s.InvalidateTarget(target)
			for _, ms := range m.sessions {
				for _, p := range []*modelPlace{&ms.home, &ms.second} {
					if p.target == target {
						*p = modelPlace{}
					}
				}
			}
		case x < 55 && len(streams) > 0:
			i := rng.IntN(len(streams))
			r := affinity.Result(rng.IntN(3))
			if rng.IntN(20) == 0 {
				r = affinity.TerminalFailure
			}
			m.done(streams[i].n, streams[i].sel, r)
			streams[i].sel.Done(affinity.Outcome{Result: r})
			streams = slices.Delete(streams, i, i+1)
		default:
			n := rng.IntN(8)
			candidates := slices.DeleteFunc(slices.Clone(all), func(c string) bool { return down[c] || rng.IntN(12) == 0 })
			if len(candidates) == 0 {
				continue
			}
			rng.Shuffle(len(candidates), func(i, j int) { candidates[i], candidates[j] = candidates[j], candidates[i] })
			if m.sessions[n] == nil {
				m.sessions[n] = &modelSession{began: map[*affinity.Selection[string]]time.Time{}}
			}
			if m.sessions[n].fraction == 0 { // what a Digest says of the turn of its session
				probe := newFraction(t, s, n)
				m.sessions[n].fraction = probe
			}
			e := m.expect(n, candidates)
			offered = nil
			sel := mustSelect(t, s, session(fmt.Sprint(n)), candidates...)
			at := fmt.Sprintf("step %d, session %d of %v: %v %v from %q, expected %+v; model %+v", step, n, candidates, sel.ID, sel.Reason, sel.From, e, m.sessions[n])
			require.Equal(t, e.reason, sel.Reason, at)
			require.Equal(t, e.from, sel.From, at)
			require.Equal(t, e.offered, offered, at)
			if e.target != "" {
				require.Equal(t, e.target, sel.ID, at)
			}
			m.settle(n, e, sel)
			streams = append(streams, stream{n, sel})
		}
	}
}

// newFraction returns where among all sessions session n comes back: its
// Digest without its first 26 bits, as a fraction.
func newFraction(t *testing.T, s *affinity.Selector[string], n int) float64 {
	b, ok := s.Peek(session(fmt.Sprint(n)))
	if !ok {
		mustSelect(t, s, session(fmt.Sprint(n)), "probe").Done(affinity.Outcome{})
		b = mustPeek(t, s, session(fmt.Sprint(n)))
		require.True(t, s.Invalidate(session(fmt.Sprint(n))))
	}
	return float64(b.Session&(1<<38-1)) / (1 << 38)
}
