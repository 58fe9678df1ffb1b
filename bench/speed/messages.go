package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/go-affinity/affinity/bench/internal/plain"
	"github.com/go-affinity/affinity/bench/speed/internal/bodies"
	"github.com/go-affinity/affinity/bench/speed/internal/lap"
	"github.com/go-affinity/affinity/bench/speed/internal/result"
	"github.com/go-affinity/affinity/extract"
)

const (
	rowValid      = "gjson.ValidBytes"
	rowBoundaries = "affinity, Boundaries"
)

// messages measures bodies that name no session: their messages have to.
func messages(s *setting) (result.Group, error) {
	g := result.Group{
		Title: "a conversation known by its messages",
		Notes: []string{
			"Several conversations by turns, so that the processor learns none by heart. affinity reads all texts that people wrote (extract.Trail);",
			"plain hashes the system prompt and the first of them, which tells fewer conversations apart. A pass over memory is bytes.Count.",
		},
	}
	for _, size := range []int{32 << 10, 256 << 10, 2 << 20} {
		var list [][]byte
		for seed := range max(3, min(16, (1<<20)/size)) {
			list = append(list, bodies.Agent(size, uint64(seed), "", ""))
		}
		race := s.track.Race(bytesOf(size), hashers(list)...)
		g.Races = append(g.Races, race)
		for _, row := range []string{rowOurs, rowDefault} {
			g.AtLeast("message hash, "+race.Name+strings.TrimPrefix(row, rowOurs), race.Row(row).Speed(), 4, "GB/s", "")
		}
	}
	small, large := g.Races[0].Row(rowOurs).Allocs, g.Races[2].Row(rowOurs).Allocs
	g.AtMost("allocated bytes, 2 MB beside 32 kB", result.SpreadOf([]float64{large.Bytes / max(small.Bytes, 1)}), 2, "x",
		fmt.Sprintf("%s bytes in %s objects, beside %s in %s", result.Format(large.Bytes), result.Format(large.Objects), result.Format(small.Bytes), result.Format(small.Objects)))
	return g, nil
}

// formats measures the same for the bodies that coding agents send to other APIs.
func formats(s *setting) (result.Group, error) {
	g := result.Group{
		Title: "coding agents' conversations in the formats of other APIs",
		Notes: []string{"Otherwise as for Anthropic's, but for plain, which does not know them all."},
	}
	for _, format := range bodies.Formats {
		for _, size := range []int{32 << 10, 256 << 10} {
			var list [][]byte
			for seed := range uint64(4) {
				list = append(list, format.Body(size, seed))
			}
			contenders := slices.DeleteFunc(hashers(list), func(c lap.Contender) bool { return c.Name == rowPlain })
			race := s.track.Race(format.Name+", "+bytesOf(size), contenders...)
			g.Races = append(g.Races, race)
			for _, row := range []string{rowOurs, rowDefault} {
				g.AtLeast("message hash, "+race.Name+strings.TrimPrefix(row, rowOurs), race.Row(row).Speed(), 4, "GB/s", "")
			}
		}
	}
	return g, nil
}

// shapes measures the same for bodies of which more has to be read. The least that can be asked
// is to be no slower than a look at whether a body is well-formed.
func shapes(s *setting) (result.Group, error) {
	const size = 256 << 10
	g := result.Group{
		Title: "conversations of other shapes, " + bytesOf(size) + " each",
		Notes: []string{"In these, most of the text is a person's or an application's, and counts. Otherwise as for coding agents."},
	}
	for _, shape := range bodies.Shapes {
		var list [][]byte
		for seed := range uint64(4) {
			list = append(list, shape.Body(size, seed))
		}
		race := s.track.Race(shape.Name, hashers(list)...)
		g.Races = append(g.Races, race)
		for _, row := range []string{rowOurs, rowDefault} {
			g.AtLeast("gjson.ValidBytes' time over ours, "+race.Name+strings.TrimPrefix(row, rowOurs), result.Ratio(race.Row(rowValid), race.Row(row)), 1, "x", "")
		}
	}
	return g, nil
}

// hashers are those who name a conversation by its messages, and others who read
// the same bodies for less. They go through the list over and over.
func hashers(list [][]byte) []lap.Contender {
	size := 0
	for _, body := range list {
		size += len(body) / len(list)
	}
	each := func(name string, read func(body []byte) bool) lap.Contender {
		return lap.Contender{Name: name, Size: size, Do: func(n int) {
			for i := range n {
				if !read(list[i%len(list)]) {
					panic(name + ": no")
				}
			}
		}}
	}
	ours := func(name string, e extract.Extractor) lap.Contender {
		req := new(extract.Request)
		return each(name, func(body []byte) bool {
			*req = extract.Request{Body: body}
			_, ok := e.Extract(req)
			return ok
		})
	}
	return []lap.Contender{
		ours(rowOurs, extract.Trail()),
		ours(rowDefault, extract.Default()),
		each(rowPlain, func(body []byte) bool { return plain.Messages(body) != "" }),
		each(rowValid, gjson.ValidBytes),
		each("a pass over memory", func(body []byte) bool { return bytes.Count(body, []byte{'}'}) > 0 }),
	}
}

// hostile measures bodies that are built to hurt, as those see them who can be
// made to read them: the chain that finds a session, and Request.Boundaries, of
// which balance.Prefix makes its index. There is one target for each, for the
// body that takes longest, and its note names the others that miss it.
func hostile(s *setting) (result.Group, error) {
	const size = 2 << 20
	g := result.Group{
		Title: "bodies built to hurt, 2 MB each, by the whole chain of extract.Default and by Request.Boundaries",
		Notes: []string{"gjson.ValidBytes, on the same body, finds no session: it only says whether the body is well-formed."},
	}
	track := s.track
	track.Rounds = min(track.Rounds, 11)
	for _, h := range bodies.Hostiles {
		body := h.Body(size)
		chain := extract.Default()
		req := new(extract.Request)
		each := func(name string, read func()) lap.Contender {
			return lap.Contender{Name: name, Do: func(n int) {
				for range n {
					*req = extract.Request{Body: body}
					read()
				}
			}}
		}
		race := track.Race(h.Name,
			each(rowOurs, func() { chain.Extract(req) }),
			each(rowBoundaries, func() { req.Boundaries() }),
			each(rowValid, func() { gjson.ValidBytes(body) }),
		)
		inMillis(&race)
		g.Races = append(g.Races, race)
	}
	const limit = 10 // milliseconds
	for _, row := range []string{rowOurs, rowBoundaries} {
		value, note := worst(g.Races, row, limit)
		g.AtMost("the worst hostile body"+strings.TrimPrefix(row, rowOurs), value, limit, "ms", note)
	}
	return g, nil
}

// worst returns the largest median of a row, over all races. The note says whose that is,
// and who else is above the limit.
func worst(races []result.Race, row string, limit float64) (value result.Spread, note string) {
	var above []string
	for _, race := range races {
		x := race.Row(row).Spread()
		if x.Median > limit {
			above = append(above, race.Name)
		}
		if value.N == 0 || x.Median > value.Median {
			value, note = x, "2 MB of "+race.Name
		}
	}
	if len(above) > 1 {
		note += fmt.Sprintf("; %d of %d bodies take more than %s: %s", len(above), len(races), result.Format(limit), strings.Join(above, ", "))
	}
	return value, note
}

// inMillis turns the nanoseconds of a race into milliseconds.
func inMillis(race *result.Race) {
	race.Unit = "ms"
	for _, row := range race.Rows {
		for j := range row.Samples {
			row.Samples[j] /= 1e6
		}
	}
}
