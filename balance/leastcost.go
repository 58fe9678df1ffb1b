package balance

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// defaultHalfLife is the HalfLife of a [CostConfig] that has none.
const defaultHalfLife = time.Hour

// CostConfig configures [LeastCost], and the part of [Prefix] that deals with
// cost. ID is required; the zero value of every other field is a good default.
//
// The functions are called by many goroutines at once. Prefix calls Cost while it holds a
// lock, so Cost must neither call the balancer nor wait for somebody who does.
type CostConfig[T any] struct {
	// ID returns what a target is called. It must return the same string for the same
	// target at all times, a different one for every other target, and the same as
	// affinity.Config.ID, by which the Selector reports outcomes.
	ID func(target T) string

	// Weight returns how much work a target is to be given relative to the others: its
	// quota, say, or what is left of that. A target of weight 2 is given twice the work
	// of one of weight 1. The weight may change from call to call: a target is given its
	// share by the weight of the moment, and nothing to make up for the time before. So
	// for a slow start, let the weight of a target that is new or back rise from a low
	// one.
	//
	// A target whose weight is 0, negative or NaN is given no new session as long
	// as there are other candidates; if none of them has a weight, all have the
	// same. Weights are taken to be at least 1e-100 and at most 1e100.
	//
	// nil gives all targets the same weight.
	Weight func(target T) float64

	// HalfLife is the time after which work counts for half as much. With a short
	// one work is even over minutes, with a long one over hours. 0 or less means
	// an hour.
	HalfLife time.Duration

	// Cost returns what a request that has used u costs. Any unit will do, such as
	// that in which the quota of the targets is measured. A cost that is negative,
	// NaN or above 1e15 is not believed. nil means affinity.Usage.Cost.
	//
	// It is also asked about usages that no request has had: what one is likely to cost,
	// and in the constructor, what tokens cost at all. So it must not count its calls as
	// requests.
	Cost func(u affinity.Usage) float64

	// MaxShare bounds the work of a target to a multiple of its fair share: with
	// 1.25, to a quarter more. The fair share of a target is the work of all
	// candidates with a weight, divided among them by that. 0 or less means no bound.
	//
	// Above its bound, a target is given no new session as long as another candidate is
	// below. It is also Overloaded, so that a Selector moves sessions away: only those
	// that are known by their messages alone, from each target at most one in half a minute,
	// and each only to a target that stays below its own bound with the whole prompt
	// uncached. Moving itself causes work: mostly a few percent of all work at 1.25, and
	// several times as much at 1.05.
	MaxShare float64
}

// LeastCost returns a balancer that takes the candidate with the least work
// lately. The work of a target is what its requests have cost, where older costs
// count for less: half as much after every HalfLife. Of several candidates with
// the same work, each is equally likely to be taken.
//
// Sessions differ in work by orders of magnitude, and the number of requests in
// flight is 0 or 1 most of the time, so neither counting sessions nor counting
// requests evens out work. As the fallback of a Selector, LeastCost is told of
// every request and of its outcome:
//
//   - When a request is sent, its target is charged with an estimate of its cost,
//     made from the length of its body and from what earlier requests have cost.
//     So placements that happen at the same time do not all see the same minimum.
//   - When the outcome reports the tokens that were used, their cost takes the
//     place of the estimate.
//   - A new session is expected to bring as much work, after its first request,
//     as others did before it. Its target counts as having that much more, so
//     sessions that start together do not go together.
//   - Every request counts as 2,000 uncached tokens more than it has used, so bursts of
//     short ones do not go together either. Work that is not tokens, such as the
//     milliseconds of a job, is evened out if it is reported in numbers beyond that. A
//     number above 4,194,304 (1 << 22) is not believed.
//
// An estimate stays if the outcome reports no tokens, and a failure never lowers
// it. So a target that fails at once, that answers 404 or that is so slow that
// clients give up does not look idle, and does not attract all new sessions.
//
// A target that is new, or that was not among the candidates for a while, is taken to
// have had the mean load in the meantime. It is given its share of new sessions, and none
// to make up for those that it missed. So one balancer serves several pools of targets,
// which may overlap.
//
// Without a Selector, LeastCost knows of its own picks only. All its methods may be
// called by many goroutines at once. Placements wait for each other; all else waits only
// for what concerns the same target. Targets are forgotten after twenty half-lives
// without use, or earlier if there are more than 65,536 of them.
//
// LeastCost panics if cfg.ID is nil.
func LeastCost[T any](cfg CostConfig[T]) affinity.Balancer[T] {
	if cfg.ID == nil {
		panic("balance: LeastCost needs CostConfig.ID")
	}
	return &leastCost[T]{costs: newCosts(cfg)}
}

type leastCost[T any] struct {
	costs[T]
	mu sync.Mutex // held by a placement, so that the next one sees its charge
}

// Pick implements affinity.Picker.
func (b *leastCost[T]) Pick(ctx context.Context, req *extract.Request, candidates []T) (T, error) {
	target, _, err := b.Place(ctx, req, candidates)
	return target, err
}

// Place implements affinity.Balancer.
func (b *leastCost[T]) Place(_ context.Context, req *extract.Request, candidates []T) (target T, t affinity.Ticket, err error) {
	if len(candidates) == 0 {
		return target, t, affinity.ErrNoCandidates
	}
	r := b.roster(candidates)
	defer b.rosters.put(r)
	cost := b.expect(req, false)
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.ledger.now()
	b.ledger.weigh(r, now)
	bound := b.bound(r)
	followUp := b.ledger.placement(now)
	session := half(cost + followUp)
	var least choice
	for i := range r.candidates {
		c := &r.candidates[i]
		if c.load > bound {
			continue
		}
		least.offer(i, c.load+c.expected+session/c.weight)
	}
	c := &r.candidates[least.i]
	return candidates[c.at], b.charge(c.account, size(req), cost, followUp, false, now), nil
}

// Charge implements affinity.Balancer.
func (b *leastCost[T]) Charge(req *extract.Request, id string, warm bool) affinity.Ticket {
	return b.charge(b.ledger.account(id), size(req), b.expect(req, warm), notPlaced, warm, b.ledger.now())
}

// Settle implements affinity.Balancer.
func (b *leastCost[T]) Settle(id string, t affinity.Ticket, o affinity.Outcome) {
	b.ledger.settle(id, t, o)
}

// Cancel implements affinity.Balancer.
func (b *leastCost[T]) Cancel(id string, t affinity.Ticket) {
	b.ledger.cancel(id, t)
}

// costs is what LeastCost and Prefix have in common: the ledger, and the rosters
// for their placements.
type costs[T any] struct {
	cfg     CostConfig[T]
	ledger  *ledger
	rosters *rosters
}

func newCosts[T any](cfg CostConfig[T]) costs[T] {
	l := newLedger(cfg.HalfLife, cfg.Cost)
	l.pools = cfg.MaxShare > 0
	return costs[T]{cfg, l, new(rosters)}
}

// roster returns a roster of the candidates, of which there is at least one. Those
// without a weight are left out, unless none has one. It calls the user's
// functions, so no lock may be held. The caller gives it back to b.rosters.
func (b *costs[T]) roster(candidates []T) *roster {
	r := b.rosters.get()
	for i, t := range candidates {
		if w := b.weight(t); w > 0 {
			r.candidates = append(r.candidates, candidate{at: i, account: b.ledger.account(b.cfg.ID(t)), weight: w})
		}
	}
	if len(r.candidates) == 0 {
		for i, t := range candidates {
			r.candidates = append(r.candidates, candidate{at: i, account: b.ledger.account(b.cfg.ID(t)), weight: 1})
		}
	}
	return r
}

// weight returns the weight of a target, within bounds that keep loads and sums
// finite, or 0 if it has none.
func (b *costs[T]) weight(target T) float64 {
	if b.cfg.Weight == nil {
		return 1
	}
	if w := b.cfg.Weight(target); w > 0 {
		return min(max(w, 1e-100), 1e100)
	}
	return 0
}

// bound returns the load above which a candidate is given no new session. At least
// one candidate is not above it.
func (b *costs[T]) bound(r *roster) float64 {
	if b.cfg.MaxShare > 0 {
		return max(r.leastLoad, b.cfg.MaxShare*r.meanLoad)
	}
	return math.Inf(1)
}

// expect estimates what a request costs by its length alone; warm says that its
// session stays where it is.
func (b *costs[T]) expect(req *extract.Request, warm bool) float64 {
	tokens := b.ledger.tokens(size(req))
	return b.ledger.estimate(tokens, b.ledger.miss(tokens, warm))
}

// half returns the part of the cost of a session that counts as load of a target
// before the session is placed there. A session fills small targets for longer. If
// targets were compared as they are before it comes, small ones would be given
// more than their share; as they are once it is there, rather less. So half of it
// counts.
func half(cost float64) float64 { return cost / 2 }

// charge charges a target for a request of so many bytes with that cost. For followUp see
// ledger.charge.
func (b *costs[T]) charge(a *account, bytes int, cost, followUp float64, warm bool, now int64) affinity.Ticket {
	expected := b.ledger.charge(a, cost, followUp, now)
	return affinity.Ticket{Time: now, Cost: cost, Memo: [2]uint64{uint64(newMemo(bytes, warm)), expectedMemo(expected)}}
}

// Overloaded implements affinity.Balancer.
func (b *costs[T]) Overloaded(id string) bool {
	return b.cfg.MaxShare > 0 && b.ledger.overloaded(id, b.cfg.MaxShare)
}
