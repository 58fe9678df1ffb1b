package table_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/go-affinity/affinity/internal/table"
)

const (
	hour  = int64(3600e9)
	limit = 1000 // what leases add to a life
)

// immortal owns references that never die.
type immortal struct{}

func (immortal) Alive(uint32) bool { return true }
func (immortal) Dying() bool       { return false }
func (immortal) Release(uint32)    {}

// keyOf returns a well-mixed key for i, different for every i.
func keyOf(i uint64) table.Key {
	return table.Key{Hi: uint16(mix(2*i + 1)), Lo: mix(2*i + 2)}
}

// mix is the finaliser of SplitMix64: one to one.
func mix(x uint64) uint64 {
	x *= 0x9e3779b97f4a7c15
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

func filled(capacity, n int) *table.Table {
	tab := table.New(capacity, limit, immortal{})
	for i := range n {
		tab.Put(keyOf(uint64(i)), 0, table.Record{Expires: hour + int64(i)}, 1)
	}
	return tab
}

var sizes = []int{1_000, 100_000, 1_000_000}

// BenchmarkGet finds and refreshes random records, on all processors.
func BenchmarkGet(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			tab := filled(1<<20, n)
			var seed atomic.Uint64
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				x := seed.Add(1) << 40
				for now := int64(1); pb.Next(); now++ {
					x++
					k := keyOf(mix(x) % uint64(n))
					_, h, ok := tab.Look(k, now)
					if !ok {
						b.Error("not found")
						return
					}
					tab.Touch(k, h, now+hour, 16*int64(n), false)
				}
			})
		})
	}
}

// BenchmarkGetMiss looks for what is not there.
func BenchmarkGetMiss(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			tab := filled(1<<20, n)
			var seed atomic.Uint64
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for r := seed.Add(1) << 40; pb.Next(); r++ {
					if _, _, ok := tab.Look(keyOf(r), 1); ok {
						b.Error("found")
						return
					}
				}
			})
		})
	}
}

// BenchmarkMixed is 99 parts Get and Touch and one part Set of a new key, in a
// table that is full.
func BenchmarkMixed(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			tab := filled(n, n)
			var seed atomic.Uint64
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				r := seed.Add(1) << 40
				for now := int64(1); pb.Next(); now++ {
					r++
					x := mix(r)
					if x%100 == 0 {
						tab.Put(keyOf(x), 0, table.Record{Expires: now + hour}, now)
						continue
					}
					k := keyOf(x % uint64(n))
					if _, h, ok := tab.Look(k, now); ok {
						tab.Touch(k, h, now+hour, 16*int64(n), false)
					}
				}
			})
		})
	}
}

// BenchmarkSet stores new keys.
func BenchmarkSet(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("at=capacity/keys=%d", n), func(b *testing.B) {
			tab := filled(n, n)
			var next atomic.Uint64
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for i := next.Add(1) << 40; pb.Next(); i++ {
					tab.Put(keyOf(i), 0, table.Record{Expires: hour + int64(i)}, 1)
				}
			})
		})
	}
	for _, n := range sizes {
		b.Run(fmt.Sprintf("growing/keys=%d", n), func(b *testing.B) {
			for b.Loop() {
				filled(1<<20, n)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/record")
		})
	}
	b.Run("replacing/keys=1000", func(b *testing.B) {
		tab := filled(1<<20, 1000)
		r, _, _ := tab.Look(keyOf(1), 1)
		b.ReportAllocs()
		for b.Loop() {
			r, _ = tab.Put(keyOf(1), r.Stamp, table.Record{Expires: hour}, 1)
		}
	})
}
