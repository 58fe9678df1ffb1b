package main

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
	"github.com/go-affinity/affinity/extract"
)

// newBalancer returns what places sessions that have no home: where the least
// work went lately, or with prefix, where of the prompt the most is cached.
func newBalancer(prefix bool) affinity.Balancer[*upstream] {
	cost := balance.CostConfig[*upstream]{ID: nameOf}
	if prefix {
		return balance.Prefix(balance.PrefixConfig[*upstream]{CostConfig: cost})
	}
	return &spread{Balancer: balance.LeastCost(cost)}
}

// spread is a balancer that lets another one choose, but gives each upstream about
// as many of the sessions placed within a short time. What a session costs shows
// only later: were a burst of them to go where the least cost was so far, all
// their work would come down on one upstream.
type spread struct {
	affinity.Balancer[*upstream]

	mu   sync.Mutex // for what follows, and for recent of all upstreams
	last time.Time  // the placement before
}

// recent is how many sessions an upstream was given lately.
type recent struct {
	n    float64   // it decays
	seen time.Time // when the upstream was a candidate last
}

// burst is the time that the number of sessions decays to half in.
const burst = 20 * time.Second

// leeway is by how many an upstream may be ahead of the one with the least, which has
// n, and still be given another.
func leeway(n float64) float64 { return 0.5 + n/16 }

// Pick implements affinity.Picker.
func (s *spread) Pick(ctx context.Context, req *extract.Request, candidates []*upstream) (*upstream, error) {
	u, _, err := s.Place(ctx, req, candidates)
	return u, err
}

// Place implements affinity.Balancer.
func (s *spread) Place(ctx context.Context, req *extract.Request, candidates []*upstream) (*upstream, affinity.Ticket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ticket, err := s.Balancer.Place(ctx, req, s.open(candidates, time.Now()))
	if err == nil {
		u.recent.n++
	}
	return u, ticket, err
}

// open returns the candidates that have not had more than the others. One that
// was none at the placement before has nothing to make up for.
func (s *spread) open(candidates []*upstream, now time.Time) []*upstream {
	least, stayed := math.Inf(1), math.Inf(1)
	for _, u := range candidates {
		r := &u.recent
		r.n *= math.Exp2(-float64(now.Sub(r.seen)) / float64(burst))
		least = min(least, r.n)
		if !r.seen.Before(s.last) {
			stayed = min(stayed, r.n)
		}
	}
	if !math.IsInf(stayed, 1) {
		least = stayed
	}
	open := make([]*upstream, 0, len(candidates))
	for _, u := range candidates {
		r := &u.recent
		r.n, r.seen = max(r.n, least), now
		if r.n <= least+leeway(least) {
			open = append(open, u)
		}
	}
	s.last = now
	return open
}

// failed tells that u was chosen in vain.
func (s *spread) failed(u *upstream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u.recent.n = max(0, u.recent.n-1)
}
