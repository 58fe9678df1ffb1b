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
	total  int64
}

func (w *work) now(now time.Time) float64 {
	return w.amount * math.Exp2(-now.Sub(w.at).Seconds()/halfLife.Seconds())
}

func (w *work) add(now time.Time) {
	w.amount, w.at = w.now(now)+1, now
	w.total++
}

// leastWork picks the upstream that was sent the least lately. What it picks
// counts at once, so that of many placements at the same time not all see the
// same minimum; what goes to a binding is added by sent.
type leastWork struct{ mu sync.Mutex }

func (p *leastWork) Pick(_ context.Context, _ *extract.Request, candidates []*upstream) (*upstream, error) {
	if len(candidates) == 0 {
		return nil, affinity.ErrNoCandidates
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	best := candidates[0]
	for _, u := range candidates[1:] {
		switch d := u.work.now(now) - best.work.now(now); {
		case d < -1e-9, d < 1e-9 && u.work.total < best.work.total:
			best = u
		}
	}
	best.work.add(now)
	return best, nil
}

func (p *leastWork) sent(u *upstream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u.work.add(time.Now())
}
