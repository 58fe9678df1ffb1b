package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-affinity/affinity"
)

// counters are what the admin page counts, whatever the configuration. They
// agree at any time: as many requests at the upstreams as there are reasons, less those
// at upstreams that were taken out of the configuration.
type counters struct {
	mu      sync.Mutex
	reasons map[affinity.Reason]int64
	at      map[string]*tally // by upstream
}

// tally is what is counted of one upstream. An attempt is a request to it.
type tally struct {
	Requests int64 `json:"requests"`
	Failures int64 `json:"failures"`

	Uncached int     `json:"uncached_tokens"`
	Cached   int     `json:"cached_tokens"`
	Output   int     `json:"output_tokens"`
	Cost     float64 `json:"cost"`
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

// keep forgets all upstreams but these.
func (c *counters) keep(upstreams []*upstream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.at, func(id string, _ *tally) bool {
		return !slices.ContainsFunc(upstreams, func(u *upstream) bool { return u.name == id })
	})
}

func (c *counters) selected(d affinity.Decision) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reasons[d.Reason]++
	c.of(d.ID).Requests++
}

// done takes in what became of a request; failed says that it is held against
// the upstream.
func (c *counters) done(id string, u affinity.Usage, failed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.of(id)
	if failed {
		t.Failures++
	}
	t.Uncached += u.Uncached
	t.Cached += u.Cached
	t.Output += u.Output
	t.Cost += u.Cost()
}

// status is what the admin page shows.
type status struct {
	Upstreams  []upstreamStatus `json:"upstreams"`
	Selections int64            `json:"selections"`
	Reasons    map[string]int64 `json:"reasons"` // they sum to the selections
	Evicted    uint64           `json:"evicted"` // bindings that were lost for want of -capacity
}

type upstreamStatus struct {
	Name      string    `json:"name"`
	URL       string    `json:"url"`
	Available bool      `json:"available"`
	State     string    `json:"state"` // in, out, slow, coming back, limited
	OutUntil  time.Time `json:"out_until,omitzero"`
	Draining  bool      `json:"draining,omitempty"`
	DrainEnds time.Time `json:"drain_ends,omitzero"`
	Bindings  int       `json:"bindings"` // one for each session known by an id, a few for each of the others
	Sessions  int       `json:"sessions"` // different ones among them
	tally

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
	c := &g.counters
	c.mu.Lock()
	defer c.mu.Unlock()
	s := status{Reasons: make(map[string]int64), Evicted: set.sel.Cache().Evicted()}
	for r := range set.sel.Stats().Selected { // also those of none
		s.Reasons[r.String()] = c.reasons[r]
		s.Selections += c.reasons[r]
	}
	var requests int64
	var cost float64
	for _, u := range set.upstreams {
		requests += c.of(u.name).Requests
		cost += c.of(u.name).Cost
	}
	for _, u := range set.upstreams {
		us := upstreamStatus{
			Name:     u.name,
			URL:      u.url.String(),
			Bindings: bindings[u.name],
			Sessions: len(sessions[u.name]),
			tally:    *c.of(u.name),
			StreamMS: milliseconds(&u.paces[streamed]),
			WholeMS:  milliseconds(&u.paces[whole]),
		}
		us.RequestShare = float64(us.Requests) / float64(cmp.Or(requests, 1))
		us.CostShare = us.Cost / cmp.Or(cost, 1)
		us.State, us.OutUntil = u.health.state(now)
		us.Available = us.State != "out"
		us.DrainEnds, us.Draining = drained[u.name]
		s.Upstreams = append(s.Upstreams, us)
	}
	return s
}

func milliseconds(p *pace) float64 {
	d, _ := p.get()
	return float64(d.Microseconds()) / 1000
}

// percent is a as a part of b.
func percent[N int | float64](a, b N) string {
	return fmt.Sprintf("%.0f %%", 100*float64(a)/float64(max(b, 1)))
}

// population counts the bindings of every upstream, and tells which sessions are behind them.
func population(cache *affinity.Cache) (bindings map[string]int, sessions map[string]map[affinity.Digest]bool) {
	bindings, sessions = map[string]int{}, map[string]map[affinity.Digest]bool{}
	for _, b := range cache.All() {
		if b.Aside {
			continue
		}
		if bindings[b.Target]++; sessions[b.Target] == nil {
			sessions[b.Target] = map[affinity.Digest]bool{}
		}
		sessions[b.Target][b.Session] = true
	}
	return bindings, sessions
}
