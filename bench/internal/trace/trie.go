package trace

// A Trie is the trie of a trace with its chains pulled together: a segment is a
// run of blocks that every prompt has either whole or not at all. Whatever is
// kept for a block is the same for all of its segment, so segments serve as
// well and there are fifty times fewer of them.
//
// Segment 0 is the root: empty, without a parent.
type Trie struct {
	Block  int     // tokens a block
	Parent []int32 // by segment; -1 for the root
	End    []int32 // depth of the last block, in blocks, by segment
	First  []int32 // node of the first block, by segment; the others follow it
	Path   []int32 // by request: the segment that its prompt ends in
}

// Trie returns the trie of t. Segments are cut at the given depths as well, in
// tokens, which should be whole blocks: prompts can then be cut off there.
func (t *Trace) Trie(depths ...int) *Trie {
	nodes := 1
	for i := range t.Requests {
		nodes += t.Requests[i].New
	}
	cut := make([]bool, nodes)
	next := 1
	for i := range t.Requests {
		r := &t.Requests[i]
		cut[r.Attach] = true
		if next += r.New; r.New > 0 {
			cut[next-1] = true
		}
	}

	tr := &Trie{Block: t.Block, Parent: []int32{-1}, End: []int32{0}, First: []int32{0}, Path: make([]int32, len(t.Requests))}
	at := make([]int32, nodes) // the segment that ends in a node, if it is cut there
	next = 1
	for i := range t.Requests {
		r := &t.Requests[i]
		seg := at[r.Attach]
		depth := tr.End[seg]
		first := next
		for range r.New {
			depth++
			ends := cut[next]
			for _, d := range depths {
				ends = ends || int(depth)*t.Block == d
			}
			if ends {
				tr.Parent = append(tr.Parent, seg)
				tr.End = append(tr.End, depth)
				tr.First = append(tr.First, int32(first))
				seg = int32(len(tr.Parent) - 1)
				at[next] = seg
				first = next + 1
			}
			next++
		}
		tr.Path[i] = seg
	}
	return tr
}

// Len returns the number of segments.
func (tr *Trie) Len() int { return len(tr.Parent) }

// Start returns the depth at which a segment begins, in blocks.
func (tr *Trie) Start(seg int32) int32 {
	if seg == 0 {
		return 0
	}
	return tr.End[tr.Parent[seg]]
}

// Tokens returns how many tokens lie between the root and the end of seg.
func (tr *Trie) Tokens(seg int32) int { return int(tr.End[seg]) * tr.Block }

// Upto returns the deepest segment on the path to seg that ends at a depth of
// at most so many tokens.
func (tr *Trie) Upto(seg int32, tokens int) int32 {
	for tr.Tokens(seg) > tokens {
		seg = tr.Parent[seg]
	}
	return seg
}

// Meet returns the segment in which the paths to a and b part.
func (tr *Trie) Meet(a, b int32) int32 {
	for a != b {
		// A segment's parent has the lower number.
		if a > b {
			a = tr.Parent[a]
		} else {
			b = tr.Parent[b]
		}
	}
	return a
}
