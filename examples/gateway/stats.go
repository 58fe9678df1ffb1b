package main

import (
	"sync"
	"time"

	"github.com/go-affinity/affinity"
)

// counters are what the admin page counts, whatever the configuration. They
// agree at any time: as many requests at the upstreams as there are reasons.
type counters struct {
	mu      sync.Mutex
	reasons map[affinity.Reason]int64
	at      map[string]*tally // by upstream
}

// tally is what is counted of one upstream. An attempt is a request to it.
type tally struct {
	requests, failures int64
	usage              affinity.Usage
	cost               float64
}

func newCounters() *counters {
	return &counters{reasons: map[affinity.Reason]int64{}, at: map[string]*tally{}}
}

// of returns what is counted of that upstream. Called with c locked.
func (c *counters) of(id string) *tally {
	t := c.at[id]
	if t == nil {
		t = new(tally)
		c.at[id] = t
	}
	return t
}

func (c *counters) selected(d affinity.Decision) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reasons[d.Reason]++
	c.of(d.ID).requests++
}

// done takes in what became of a request; failed says that it is held against
// the upstream.
func (c *counters) done(id string, u affinity.Usage, failed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.of(id)
	if failed {
		t.failures++
	}
	t.usage.Uncached += u.Uncached
	t.usage.Cached += u.Cached
	t.usage.Output += u.Output
	t.cost += u.Cost()
}

// status is what the admin page shows.
type status struct {
	Upstreams  []upstreamStatus `json:"upstreams"`
	Selections int64            `json:"selections"`
	Reasons    map[string]int64 `json:"reasons"` // they sum to the selections
}

type upstreamStatus struct {
	Name      string     `json:"name"`
	URL       string     `json:"url"`
	Available bool       `json:"available"`
	State     string     `json:"state"` // in, out, slow, coming back, limited
	OutUntil  *time.Time `json:"out_until,omitempty"`
	Draining  bool       `json:"draining,omitempty"`
	DrainEnds *time.Time `json:"drain_ends,omitempty"`
	Bindings  int        `json:"bindings"` // one for each session known by an id, a few for each of the others
	Sessions  int        `json:"sessions"` // different ones among them
	Requests  int64      `json:"requests"`
	Failures  int64      `json:"failures"`

	Uncached int     `json:"uncached_tokens"`
	Cached   int     `json:"cached_tokens"`
	Output   int     `json:"output_tokens"`
	Cost     float64 `json:"cost"`

	// Shares are of all upstreams of the configuration; 0 while there is nothing.
	RequestShare float64 `json:"request_share"`
	CostShare    float64 `json:"cost_share"`

	// How long it takes to begin an answer, lately; 0 while that is not known.
	StreamMS float64 `json:"stream_begins_ms"`
	WholeMS  float64 `json:"answer_begins_ms"`
}

func (g *gateway) status() status {
	set := g.setup.Load()
	bindings, sessions := population(set.sel.Cache())
	drained := set.sel.Drained()
	now := time.Now()
	c := g.counters
	c.mu.Lock()
	defer c.mu.Unlock()
	s := status{Reasons: make(map[string]int64)}
	for _, r := range reasons {
		s.Reasons[r.String()] = 0
	}
	for r, n := range c.reasons {
		s.Reasons[r.String()] = n
		s.Selections += n
	}
	var requests int64
	var cost float64
	for _, u := range set.upstreams {
		t := *c.of(u.name)
		requests += t.requests
		cost += t.cost
	}
	for _, u := range set.upstreams {
		t := *c.of(u.name)
		us := upstreamStatus{
			Name:     u.name,
			URL:      u.url.String(),
			Bindings: bindings[u.name],
			Sessions: sessions[u.name],
			Requests: t.requests,
			Failures: t.failures,
			Uncached: t.usage.Uncached,
			Cached:   t.usage.Cached,
			Output:   t.usage.Output,
			Cost:     t.cost,
			StreamMS: milliseconds(&u.paces[streamed]),
			WholeMS:  milliseconds(&u.paces[whole]),
		}
		if requests > 0 {
			us.RequestShare = float64(t.requests) / float64(requests)
		}
		if cost > 0 {
			us.CostShare = t.cost / cost
		}
		var until time.Time
		us.State, until = u.health.state(now)
		if us.Available = us.State != "out"; !us.Available {
			us.OutUntil = &until
		}
		if end, ok := drained[u.name]; ok {
			if us.Draining = true; !end.IsZero() {
				us.DrainEnds = &end
			}
		}
		s.Upstreams = append(s.Upstreams, us)
	}
	return s
}

func milliseconds(p *pace) float64 {
	d, _ := p.get()
	return float64(d.Microseconds()) / 1000
}

// population counts the bindings, and the sessions behind them, of every
// upstream.
func population(cache *affinity.Cache) (bindings, sessions map[string]int) {
	bindings, sessions = map[string]int{}, map[string]int{}
	type at struct {
		target  string
		session affinity.Digest
	}
	seen := map[at]bool{}
	for _, b := range cache.All() {
		if b.Aside {
			continue
		}
		bindings[b.Target]++
		if k := (at{b.Target, b.Session}); !seen[k] {
			seen[k] = true
			sessions[b.Target]++
		}
	}
	return bindings, sessions
}
