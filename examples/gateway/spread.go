package main

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// spread is a balancer that lets another one choose, but gives each upstream about
// as many of the sessions placed within a short time. What a session costs shows
// only later: were a burst of them to go where the least cost was so far, all
// their work would come down on one upstream.
type spread struct {
	affinity.Balancer[*upstream]

	mu     sync.Mutex
	placed map[*upstream]*placements
	last   time.Time
}

// placements are the new sessions of one upstream lately.
type placements struct {
	n    float64   // it decays
	seen time.Time // when it was a candidate last
}

// burst is the time that the number of sessions decays to half in.
const burst = 20 * time.Second

// leeway is how many more of them than the one with the least, which has n, an
// upstream may have to be given another.
func leeway(n float64) float64 { return 0.5 + n/16 }

func newSpread(b affinity.Balancer[*upstream]) *spread {
	return &spread{Balancer: b, placed: make(map[*upstream]*placements)}
}

// Pick implements affinity.Picker.
func (s *spread) Pick(ctx context.Context, req *extract.Request, candidates []*upstream) (*upstream, error) {
	u, _, err := s.Place(ctx, req, candidates)
	return u, err
}

// Place implements affinity.Balancer.
func (s *spread) Place(ctx context.Context, req *extract.Request, candidates []*upstream) (*upstream, affinity.Ticket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	open := s.open(candidates, now)
	chosen, ticket, err := s.Balancer.Place(ctx, req, open)
	for u, p := range s.placed {
		switch {
		case err != nil:
		case u == chosen:
			p.n++
		case p.seen.Before(now): // no candidate: it has nothing to make up for
			p.n += 1 / float64(len(candidates))
		}
	}
	return chosen, ticket, err
}

// open returns the candidates that have not had more than the others. Called with
// s locked.
func (s *spread) open(candidates []*upstream, now time.Time) []*upstream {
	decay := math.Exp2(-float64(now.Sub(s.last)) / float64(burst))
	s.last = now
	for u, p := range s.placed {
		if p.n *= decay; now.Sub(p.seen) > 10*burst {
			delete(s.placed, u)
		}
	}
	least := math.Inf(1)
	for _, u := range candidates {
		if p := s.placed[u]; p != nil {
			p.seen = now
			least = min(least, p.n)
		}
	}
	open := make([]*upstream, 0, len(candidates))
	for _, u := range candidates {
		p := s.placed[u]
		if p == nil { // new here
			p = &placements{seen: now}
			if !math.IsInf(least, 1) {
				p.n = least
			}
			s.placed[u] = p
		}
		if p.n <= least+leeway(least) {
			open = append(open, u)
		}
	}
	return open
}
