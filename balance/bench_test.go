package balance_test

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
	"github.com/go-affinity/affinity/extract"
)

func BenchmarkPick(b *testing.B) {
	req := &extract.Request{Scope: "9f4c1a52-0c1e-4b57-a6de-6f2c7f3b1c11"}
	for _, policy := range policies {
		for _, n := range []int{2, 8, 64} {
			b.Run(fmt.Sprintf("policy=%s/targets=%d", policy.name, n), func(b *testing.B) {
				p, ts, ctx := policy.new(), targets(n), b.Context()
				b.ReportAllocs()
				for b.Loop() {
					if _, err := p.Pick(ctx, req, ts); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkPickParallel(b *testing.B) {
	req := &extract.Request{Scope: "9f4c1a52-0c1e-4b57-a6de-6f2c7f3b1c11"}
	for _, policy := range policies {
		b.Run("policy="+policy.name+"/targets=8", func(b *testing.B) {
			p, ts, ctx := policy.new(), targets(8), b.Context()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := p.Pick(ctx, req, ts); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

func BenchmarkPlace(b *testing.B) {
	for _, policy := range balancers {
		for _, n := range []int{8, 64, 512} {
			b.Run(fmt.Sprintf("policy=%s/targets=%d", policy.name, n), func(b *testing.B) {
				p, ts, ctx := policy.new(balance.CostConfig[*target]{}), targets(n), b.Context()
				reqs := make([]*extract.Request, 64)
				for i := range reqs {
					reqs[i] = turn(i, 4, 24) // of about 25,000 tokens
				}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					got, ticket, err := p.Place(ctx, reqs[i%len(reqs)], ts)
					if err != nil {
						b.Fatal(err)
					}
					p.Settle(got.name, ticket, affinity.Outcome{Result: affinity.Served, Usage: affinity.Usage{Uncached: 6000, Cached: 18_000, Output: 400}})
				}
			})
		}
	}
}

// BenchmarkPlaceAfterACommonBeginning is a placement where all targets hold what the prompts begin
// with, and each prompt goes on for itself.
func BenchmarkPlaceAfterACommonBeginning(b *testing.B) {
	for _, n := range []int{8, 64, 512} {
		b.Run(fmt.Sprintf("targets=%d", n), func(b *testing.B) {
			p, ts, ctx := newPrefix(balance.CostConfig[*target]{}), targets(n), b.Context()
			for i, t := range ts {
				p.Settle(t.name, p.Charge(turn(i, 16, 24), t.name, false), affinity.Outcome{Result: affinity.Served})
			}
			reqs := make([]*extract.Request, 1024)
			for i := range reqs {
				reqs[i] = turn(n+i, 16, 24)
			}
			for i := 0; b.Loop(); i++ {
				got, ticket, err := p.Place(ctx, reqs[i%len(reqs)], ts)
				if err != nil {
					b.Fatal(err)
				}
				p.Settle(got.name, ticket, affinity.Outcome{Result: affinity.Served, Usage: affinity.Usage{Uncached: 6000, Cached: 18_000, Output: 400}})
			}
		})
	}
}

// BenchmarkHit is what a balancer adds to a request of a session that stays
// where it is.
func BenchmarkHit(b *testing.B) {
	hit := func(p affinity.Balancer[*target], id string, req *extract.Request) {
		ticket := p.Charge(req, id, true)
		p.Settle(id, ticket, affinity.Outcome{Result: affinity.Served, Usage: affinity.Usage{Uncached: 1000, Cached: 23_000, Output: 400}})
	}
	for _, policy := range balancers {
		ids := make([]string, 512)
		reqs := make([]*extract.Request, len(ids))
		for i := range ids {
			ids[i], reqs[i] = "account-"+strconv.Itoa(i), turn(i, 4, 24)
		}
		b.Run("policy="+policy.name, func(b *testing.B) {
			p := policy.new(balance.CostConfig[*target]{})
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				hit(p, ids[i%512], reqs[i%512])
			}
		})
		b.Run("policy="+policy.name+"/parallel", func(b *testing.B) {
			p := policy.new(balance.CostConfig[*target]{})
			var from atomic.Int64
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := int(from.Add(100)); pb.Next(); i++ {
					hit(p, ids[i%512], reqs[i%512])
				}
			})
		})
	}
}
