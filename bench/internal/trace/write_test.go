package trace

import (
	"bufio"
	"fmt"
	"io"
)

// Write writes t in the format pfx1, uncompressed.
func Write(w io.Writer, t *Trace) error {
	nodes := 0
	for i := range t.Requests {
		nodes += t.Requests[i].New
	}
	b := bufio.NewWriter(w)
	absolute := 0
	if t.Absolute {
		absolute = 1
	}
	fmt.Fprintf(b, "#%s block=%d nodes=%d absolute=%d cols=%s\n", t.Name, t.Block, nodes, absolute, columns)
	for i := range t.Requests {
		r := &t.Requests[i]
		fmt.Fprintf(b, "%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", r.Time.Milliseconds(), r.Session, r.Parent, r.Prompt, r.Output, r.Took.Milliseconds(), r.Attach, r.New)
	}
	return b.Flush()
}
