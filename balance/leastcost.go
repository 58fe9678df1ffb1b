package balance

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// DefaultHalfLife is how long it takes until work counts half, unless
// configured.
const DefaultHalfLife = 20 * time.Minute

// CostConfig configures [LeastCost]. ID is required; the zero value of every
// other field is a good default.
type CostConfig[T any] struct {
	// ID returns what a target is called, as affinity.Config.ID does.
	ID func(target T) string

	// Weight is how much work a target is to be given relative to others: its
	// quota, say. Anything but a positive number counts as 1. nil means that
	// all are alike.
	Weight func(target T) float64

	// HalfLife is how long it takes until work counts half. 0 or less means
	// DefaultHalfLife. A short one evens out minutes, a long one hours.
	HalfLife time.Duration

	// Cost is what a request costs that used so many tokens, in any unit:
	// that of the quota of the targets, say. nil means affinity.Usage.Cost.
	Cost func(u affinity.Usage) float64

	// MaxShare is how much of its fair share a target may have, at 1.25 a
	// quarter more, before it is Overloaded: it is given no new sessions while
	// others can take them, and a Selector lets sessions leave it that were
	// recognised by their messages alone. 0 or less means no bound.
	MaxShare float64
}

// LeastCost returns a balancer that takes the candidate that had the least work
// lately: the least sum of costs, which decays. Among several with the same
// sum, each has the same probability.
//
// Sessions differ in work by orders of magnitude, and the number of requests in
// flight is 0 or 1 most of the time, so neither counting sessions nor counting
// requests evens out work. As the fallback of a Selector, LeastCost knows of
// all requests and what became of them. A request is charged when it is sent,
// with an estimate from the length of its body and from what requests cost
// before, so placements at the same time do not all see the same minimum. When
// its outcome is told, what it has really cost takes the place of the estimate.
// Where the usage is not known, the estimate of a neutral outcome is given back
// and others stay: a target that fails at once has no less to do than others.
//
// A target that was never seen before starts like the least loaded one, so that
// it takes its share and no more. Used without a Selector, it knows of its own
// picks only. It takes a lock for each candidate, one after the other.
func LeastCost[T any](cfg CostConfig[T]) affinity.Balancer[T] {
	if cfg.ID == nil {
		panic("balance: LeastCost needs a function for the ID of a target")
	}
	return &leastCost[T]{cfg: cfg, ledger: newLedger(cfg.HalfLife, cfg.Cost, perRequest)}
}

type leastCost[T any] struct {
	cfg    CostConfig[T]
	ledger *ledger
	mu     sync.Mutex // one placement sees the charge of the one before
}

func (b *leastCost[T]) Pick(ctx context.Context, req *extract.Request, candidates []T) (T, error) {
	target, _, err := b.Place(ctx, req, candidates)
	return target, err
}

func (b *leastCost[T]) Place(_ context.Context, req *extract.Request, candidates []T) (target T, t affinity.Ticket, err error) {
	if len(candidates) == 0 {
		return target, t, affinity.ErrNoCandidates
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.ledger.now()
	var least choice
	b.cfg.visit(b.ledger, candidates, now, func(i int, a *account, load float64) { least.offer(i, a, load) })
	return candidates[least.i], b.charge(least.account, req, false, now), nil
}

func (b *leastCost[T]) charge(a *account, req *extract.Request, warm bool, now int64) affinity.Ticket {
	bytes := size(req)
	tokens := float64(bytes) * b.ledger.perByte.get()
	return b.ledger.charge(a, bytes, tokens, b.ledger.miss(tokens, warm), warm, now)
}

func (b *leastCost[T]) Charge(req *extract.Request, id string, warm bool) affinity.Ticket {
	now := b.ledger.now()
	return b.charge(b.ledger.account(id, 0, now), req, warm, now)
}

func (b *leastCost[T]) Settle(id string, t affinity.Ticket, o affinity.Outcome) {
	b.ledger.settle(id, t, o)
}

func (b *leastCost[T]) Overloaded(id string) bool {
	return b.cfg.MaxShare > 0 && b.ledger.share(id, b.ledger.now()) > b.cfg.MaxShare
}

// visit calls f for each candidate with its account and its load, by its
// weight. One that was never seen starts with the load of the least loaded.
func (cfg *CostConfig[T]) visit(l *ledger, candidates []T, now int64, f func(i int, a *account, load float64)) {
	accounts := *l.accounts.Load()
	least, unseen := math.Inf(1), false
	for i, c := range candidates {
		a := accounts[cfg.ID(c)]
		if a == nil {
			unseen = true
			continue
		}
		a.weight.set(cfg.weight(c))
		load := a.load(l, now) / a.weight.get()
		least = min(least, load)
		f(i, a, load)
	}
	if !unseen {
		return
	}
	if math.IsInf(least, 1) {
		least = 0
	}
	for i, c := range candidates {
		if id := cfg.ID(c); accounts[id] == nil {
			w := cfg.weight(c)
			a := l.account(id, least*w, now)
			a.weight.set(w)
			f(i, a, least)
		}
	}
}

// weight is that of a target, made a positive number.
func (cfg *CostConfig[T]) weight(target T) float64 {
	if cfg.Weight != nil {
		if w := cfg.Weight(target); w > 0 && !math.IsInf(w, 1) {
			return w
		}
	}
	return 1
}

// A choice is the candidate with the least score so far, any of several.
type choice struct {
	account *account
	i       int
	score   float64
	ties    int
}

// offer takes candidate i if its score is lower, and reports whether it did.
func (c *choice) offer(i int, a *account, score float64) bool {
	switch {
	case c.account == nil || score < c.score:
		*c = choice{a, i, score, 1}
		return true
	case score == c.score:
		// The k-th of the tied ones replaces the choice with probability
		// 1/k, which leaves each with the same.
		if c.ties++; rand.IntN(c.ties) == 0 {
			c.i, c.account = i, a
			return true
		}
	}
	return false
}
