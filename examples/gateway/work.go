package main

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// halfLife is how long it takes to forget half of the work that an upstream did.
const halfLife = 5 * time.Minute

// work is how many requests an upstream was sent lately.
type work struct {
	amount float64
	at     time.Time
	placed int64 // how many of them leastWork sent there
}

func (w *work) now(now time.Time) float64 {
	return w.amount * math.Exp2(-now.Sub(w.at).Seconds()/halfLife.Seconds())
}

func (w *work) add(now time.Time) { w.amount, w.at = w.now(now)+1, now }

// leastWork picks the upstream that was sent the least lately; among equals,
// the one that was picked the least. What it picks counts at once, so that of
// many placements at the same time not all see the same minimum; what goes to a
// binding is added by sent.
type leastWork struct{ mu sync.Mutex }

func (p *leastWork) Pick(_ context.Context, _ *extract.Request, candidates []*upstream) (*upstream, error) {
	if len(candidates) == 0 {
		return nil, affinity.ErrNoCandidates
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	best, least := candidates[0], candidates[0].work.now(now)
	for _, u := range candidates[1:] {
		const equal = 1e-9 // sums of the same work in another order differ by less
		switch w := u.work.now(now); {
		case w < least-equal, w < least+equal && u.work.placed < best.work.placed:
			best, least = u, w
		}
	}
	best.work.add(now)
	best.work.placed++
	return best, nil
}

// sent tells of a request that goes to u by another's choice.
func (p *leastWork) sent(u *upstream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u.work.add(time.Now())
}
