package extract

// pictures are what people attached since the last answer: mostly images, but also sounds and
// files. They stay where they are when a client removes what it has written around a question,
// or adds a transcript of what was said.
type pictures struct {
	digests [3]uint64 // of the first ones
	n       int32     // how many there are
	before  int32     // how many of them are before the last text
}

func (p *pictures) put(h uint64) {
	if int(p.n) < len(p.digests) {
		p.digests[p.n] = h
	}
	p.n++
}

// last reports whether one of them comes after the last text.
func (p *pictures) last() bool { return p.n > p.before }

// surround reports whether there are a few pictures, and nothing else since the last answer but
// a text of that digest or, if that is 0, nothing else at all.
func (p *pictures) surround(text uint64, said stretch) bool {
	return p.n > 0 && int(p.n) <= len(p.digests) && p.stretch(text, 0).sum == said.sum
}

// each calls f for the digests of the pictures and, at its place among them, of a text, unless
// that is 0.
func (p *pictures) each(text uint64, f func(salt, h uint64)) {
	for i := range p.n + 1 {
		if i == p.before && text != 0 {
			f(textSalt, text)
		}
		if i < p.n {
			f(binarySalt, p.digests[i])
		}
	}
}

// stretch returns that of the pictures and a text of so many bytes among them.
func (p *pictures) stretch(text uint64, bytes int) (said stretch) {
	p.each(text, func(_, h uint64) { said.sum = said.sum*31 + h })
	said.bytes = uint8(min(minTail, bytes+int(p.n)*pictureBytes))
	return said
}

// chain extends the chain here over the pictures and a text among them.
func (p *pictures) chain(here sum, text uint64) sum {
	p.each(text, func(salt, h uint64) { here = here.add(salt, h) })
	return here
}
