package balance

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// DefaultHalfLife is how long it takes until work counts half, unless
// configured.
const DefaultHalfLife = time.Hour

// CostConfig configures [LeastCost]. ID is required; the zero value of every
// other field is a good default.
type CostConfig[T any] struct {
	// ID returns what a target is called, as affinity.Config.ID does.
	ID func(target T) string

	// Weight is how much work a target is to be given relative to others: its
	// quota, say, or what is left of it. One of which it is 0, or no positive number,
	// is given no new session while there are others; as with [Weighted], if there
	// are none, all are alike. Those beyond 1e100 and 1e-100 count as these. nil means
	// that all are alike.
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
	// recognised by their messages alone, one in half a minute, for a target that
	// has no more than that with their whole prompt to read. That is work in itself:
	// at 1.25 mostly a few percent of all, at 1.05 several times that. 0 or less
	// means no bound.
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
// its outcome tells what it has used, that takes the place of the estimate. What
// sessions bring to where they were placed is expected of a new one as well, so
// those that start together do not go together.
//
// Where the usage is not known the estimate stays, whatever the outcome; and a
// failure never costs less. So a target that fails at once, that answers 404 or
// that is so slow that clients leave has no less to do than others, and does
// not attract them all.
//
// A target that is new, or was not among the candidates for a while, is taken
// to have had the mean load meanwhile: it takes its share of new sessions, and
// no more to make up for those that it missed.
//
// Used without a Selector, it knows of its own picks only. All its methods may
// be called by many goroutines at once; placements take turns, other requests
// to different targets do not. A target that goes unused for twenty half-lives
// may be forgotten, and of more than 65,536 some are sooner.
func LeastCost[T any](cfg CostConfig[T]) affinity.Balancer[T] {
	if cfg.ID == nil {
		panic("balance: LeastCost needs an id function")
	}
	return &leastCost[T]{costs: newCosts(cfg)}
}

type leastCost[T any] struct {
	costs[T]
	mu sync.Mutex // one placement sees the charge of the one before
}

func (b *leastCost[T]) Pick(ctx context.Context, req *extract.Request, candidates []T) (T, error) {
	target, _, err := b.Place(ctx, req, candidates)
	return target, err
}

func (b *leastCost[T]) Place(_ context.Context, req *extract.Request, candidates []T) (target T, t affinity.Ticket, err error) {
	if len(candidates) == 0 {
		return target, t, affinity.ErrNoCandidates
	}
	f := b.field(candidates)
	defer b.fields.put(f)
	cost := b.expect(req, false)
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.ledger.now()
	b.ledger.weigh(f, now)
	bound := b.bound(f)
	rest := b.ledger.placement(now)
	half := (cost + rest) / 2 // of the session: see field.most
	var least choice
	for i := range f.runners {
		r := &f.runners[i]
		if r.load > bound {
			continue
		}
		least.offer(i, r.load+r.coming+half/r.weight)
	}
	r := &f.runners[least.i]
	return candidates[r.at], b.charge(r.account, req, cost, rest, false, now), nil
}

func (b *leastCost[T]) Charge(req *extract.Request, id string, warm bool) affinity.Ticket {
	return b.charge(b.ledger.account(id), req, b.expect(req, warm), unplaced, warm, b.ledger.now())
}

func (b *leastCost[T]) Settle(id string, t affinity.Ticket, o affinity.Outcome) {
	b.ledger.settle(id, t, o)
}

// costs is what the balancers that know what requests cost have in common.
type costs[T any] struct {
	cfg    CostConfig[T]
	ledger *ledger
	fields *spares
}

func newCosts[T any](cfg CostConfig[T]) costs[T] {
	c := costs[T]{cfg, newLedger(cfg.HalfLife, cfg.Cost), new(spares)}
	c.ledger.shares = cfg.MaxShare > 0
	return c
}

// bound is the load from which on a candidate is given no new session.
func (c *costs[T]) bound(f *field) float64 {
	if c.cfg.MaxShare > 0 {
		return max(f.least, c.cfg.MaxShare*f.mean)
	}
	return math.Inf(1)
}

// field looks up the candidates, but for those without weight: they are as if they
// were none, while others are there. It calls functions of the user, so it is not
// called with a lock.
func (c *costs[T]) field(candidates []T) *field {
	f := c.fields.get()
	for i, t := range candidates {
		if w := c.cfg.weight(t); w > 0 {
			f.runners = append(f.runners, runner{at: i, account: c.ledger.account(c.cfg.ID(t)), weight: w})
		}
	}
	if len(f.runners) == 0 {
		for i, t := range candidates {
			f.runners = append(f.runners, runner{at: i, account: c.ledger.account(c.cfg.ID(t)), weight: 1})
		}
	}
	return f
}

// expect is what a request is likely to cost of which nothing is known but its
// length.
func (c *costs[T]) expect(req *extract.Request, warm bool) float64 {
	tokens := c.ledger.tokens(size(req))
	return c.ledger.estimate(tokens, c.ledger.miss(tokens, warm))
}

// charge charges a target for such a request.
func (c *costs[T]) charge(a *account, req *extract.Request, cost, rest float64, warm bool, now int64) affinity.Ticket {
	c.ledger.charge(a, cost, rest, now)
	return affinity.Ticket{Time: now, Cost: cost, Memo: [2]uint64{memo(size(req), warm, rest)}}
}

// Cancel takes back what Place or Charge began: the request is not sent.
func (c *costs[T]) Cancel(id string, t affinity.Ticket) {
	c.ledger.cancel(id, t)
}

func (c *costs[T]) Overloaded(id string) bool {
	return c.cfg.MaxShare > 0 && c.ledger.overloaded(id, c.cfg.MaxShare)
}

// weight is that of a target, of which loads and sums stay finite, or 0.
func (cfg *CostConfig[T]) weight(target T) float64 {
	if cfg.Weight == nil {
		return 1
	}
	if w := cfg.Weight(target); w > 0 {
		return min(max(w, 1e-100), 1e100)
	}
	return 0
}
