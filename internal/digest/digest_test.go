package digest_test

import (
	"fmt"
	"math"
	"math/bits"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/internal/digest"
)

func of(k *digest.Key, parts ...string) (s digest.Sum) {
	for _, p := range parts {
		s = k.Add(s, p)
	}
	return s
}

// ids are such as clients send: uuids that count, names that count, short and
// long ones.
func ids(n int) []string {
	list := make([]string, 0, n)
	for i := range n / 4 {
		list = append(list,
			fmt.Sprintf("3f1c9a52-7f0e-4d3b-9a67-%012x", i),
			fmt.Sprintf("%08x-7f0e-4d3b-9a67-0c2be41d8e55", i),
			fmt.Sprint(i),
			fmt.Sprintf("session-%d-of-production-with-a-name-that-goes-on-and-on", i))
	}
	return list
}

func TestHalvesDoNotCollide(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and of one goroutine")
	}
	for range 3 {
		k := digest.NewKey()
		hi, lo := make(map[uint64]bool), make(map[uint64]bool)
		list := ids(400_000)
		for _, id := range list {
			s := k.Add(digest.Sum{}, id)
			hi[s.Hi], lo[s.Lo] = true, true
		}
		require.Equal(t, len(list), len(hi))
		require.Equal(t, len(list), len(lo))
	}
}

// Strings of all lengths that differ by little, or by a byte that is like a length.
func TestShortStringsDoNotCollide(t *testing.T) {
	for _, letters := range []string{"01", "02", "0?", "op", "\x00\x01", "\x00\x10", "ab"} {
		k := digest.NewKey()
		hi, lo := make(map[uint64]bool), make(map[uint64]bool)
		n := 0
		add := func(s string) {
			sum := k.Add(digest.Sum{}, s)
			hi[sum.Hi], lo[sum.Lo] = true, true
			n++
		}
		b := make([]byte, 0, 40)
		for length := range 15 {
			for bits := range 1 << length {
				b = b[:length]
				for i := range b {
					b[i] = letters[bits>>i&1]
				}
				add(string(b))
			}
		}
		// Longer ones: one letter but for one place, or two next to each other.
		for length := 15; length < 40; length++ {
			add(strings.Repeat(letters[:1], length))
			for i := range length {
				s := strings.Repeat(letters[:1], i) + letters[1:]
				add(s + strings.Repeat(letters[:1], length-i-1))
				if i+2 <= length {
					add(s + letters[1:] + strings.Repeat(letters[:1], length-i-2))
				}
			}
		}
		require.Equal(t, n, len(hi), letters)
		require.Equal(t, n, len(lo), letters)
	}
}

// Of n digests, n*n/2^33 pairs have the same 32 bits, if 16 of them come from each
// half and one half tells nothing of the other.
func TestHalvesAreIndependent(t *testing.T) {
	list := ids(400_000)
	n := float64(len(list))
	for _, part := range []func(digest.Sum) uint32{
		func(s digest.Sum) uint32 { return uint32(s.Hi>>48<<16 | s.Lo>>48) },
		func(s digest.Sum) uint32 { return uint32(s.Hi<<16 | s.Lo&0xffff) },
		func(s digest.Sum) uint32 { return uint32(s.Hi<<16) | uint32((s.Lo^s.Hi)>>48) },
	} {
		k := digest.NewKey()
		same, seen := 0, make(map[uint32]bool)
		for _, id := range list {
			p := part(k.Add(digest.Sum{}, id))
			if seen[p] {
				same++
			}
			seen[p] = true
		}
		expected := n * n / (1 << 33)
		require.InDelta(t, expected, same, 6*math.Sqrt(expected))
	}
}

// Each of the top bits, by which a table finds its places, and each of the lowest
// is set as often as not, and so are pairs of neighbours.
func TestBitsAreEven(t *testing.T) {
	k := digest.NewKey()
	list := ids(100_000)
	var ones [2][64]int
	var same [2][64]int
	for _, id := range list {
		s := k.Add(digest.Sum{}, id)
		for half, w := range [2]uint64{s.Hi, s.Lo} {
			for bit := range 64 {
				ones[half][bit] += int(w >> bit & 1)
				same[half][bit] += int((w>>bit ^ w>>((bit+1)%64)) & 1)
			}
		}
	}
	spread := 6 * math.Sqrt(float64(len(list))) / 2
	for half := range 2 {
		for bit := range 64 {
			require.InDelta(t, len(list)/2, ones[half][bit], spread, "half %d, bit %d", half, bit)
			require.InDelta(t, len(list)/2, same[half][bit], spread, "half %d, bits %d", half, bit)
		}
	}
}

// A bit of the text changes half of the bits of each half, wherever it stands.
func TestEveryBitOfTheTextCounts(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 36, 48, 49, 256} {
		var hi, lo, all int
		for range 40 {
			k := digest.NewKey()
			text := []byte(strings.Repeat("a", n))
			was := k.Add(digest.Sum{}, string(text))
			for i := range text {
				for bit := range 8 {
					text[i] ^= 1 << bit
					is := k.Add(digest.Sum{}, string(text))
					text[i] ^= 1 << bit
					require.NotEqual(t, was.Hi, is.Hi)
					require.NotEqual(t, was.Lo, is.Lo)
					hi += bits.OnesCount64(was.Hi ^ is.Hi)
					lo += bits.OnesCount64(was.Lo ^ is.Lo)
					all += 64
				}
			}
		}
		require.InDelta(t, 0.5, float64(hi)/float64(all), 0.03, "%d bytes", n)
		require.InDelta(t, 0.5, float64(lo)/float64(all), 0.03, "%d bytes", n)
	}
}

func TestPartsAreKeptApart(t *testing.T) {
	k := digest.NewKey()
	seen := make(map[digest.Sum]string)
	hi, lo := make(map[uint64]bool), make(map[uint64]bool)
	for _, parts := range [][]string{
		{""}, {"", ""}, {"", "", ""}, {"a"}, {"a", ""}, {"", "a"}, {"a", "bc"}, {"ab", "c"}, {"abc"}, {"abc", ""},
		{"c", "ab"}, {"bc", "a"}, {"a", "b", "c"}, {"a", "a"}, {"a", "a", "a"}, {"\x00"}, {"\x00\x00"}, {"\x00", "\x00"},
		{"0123456789abcdef"}, {"0123456789abcdef", "0123456789abcdef"}, {"0123456789abcdef0123456789abcdef"},
	} {
		s := of(&k, parts...)
		require.Empty(t, seen[s])
		seen[s] = fmt.Sprintf("%q", parts)
		hi[s.Hi], lo[s.Lo] = true, true
	}
	require.Len(t, hi, len(seen))
	require.Len(t, lo, len(seen))
}

// Lengths and zeros tell texts apart that are the same word otherwise.
func TestZeros(t *testing.T) {
	k := digest.NewKey()
	seen := make(map[uint64]bool)
	for n := range 300 {
		s := k.Add(digest.Sum{}, strings.Repeat("\x00", n))
		seen[s.Hi], seen[s.Lo] = true, true
	}
	require.Len(t, seen, 600)
}

func TestKeysMakeDigestsDiffer(t *testing.T) {
	k, other := digest.NewKey(), digest.NewKey()
	for _, id := range append(ids(1000), "") {
		a, b := k.Add(digest.Sum{}, id), other.Add(digest.Sum{}, id)
		require.NotEqual(t, a.Hi, b.Hi)
		require.NotEqual(t, a.Lo, b.Lo)
	}
}

func TestAddDoesNotAllocate(t *testing.T) {
	k := digest.NewKey()
	id := ids(4)[0]
	require.Zero(t, testing.AllocsPerRun(100, func() { k.Add(digest.Sum{}, id) }))
}

func BenchmarkAdd(b *testing.B) {
	k := digest.NewKey()
	for _, n := range []int{8, 36, 64, 256} {
		id := strings.Repeat("x", n)
		b.Run(fmt.Sprintf("bytes=%d", n), func(b *testing.B) {
			for b.Loop() {
				k.Add(digest.Sum{}, id)
			}
		})
		b.Run(fmt.Sprintf("xxhash/bytes=%d", n), func(b *testing.B) {
			for b.Loop() {
				xxhash.Sum64String(id)
			}
		})
	}
}

// Each half of a digest goes on from the same half of the one before, and from nothing else.
func TestHalvesGoOnByThemselves(t *testing.T) {
	k := digest.NewKey()
	for n := range 70 {
		part := strings.Repeat("x", n)
		was, hi, lo := k.Add(digest.Sum{Hi: 1, Lo: 2}, part), k.Add(digest.Sum{Hi: 3, Lo: 2}, part), k.Add(digest.Sum{Hi: 1, Lo: 4}, part)
		require.True(t, hi.Hi != was.Hi && hi.Lo == was.Lo, "%d", n)
		require.True(t, lo.Hi == was.Hi && lo.Lo != was.Lo, "%d", n)
	}
}
