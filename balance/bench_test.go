package balance_test

import (
	"fmt"
	"testing"

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
