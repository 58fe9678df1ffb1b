package extract

import (
	"bytes"
	"slices"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// wantsStandaloneQuestion reports whether a text, given as it opens, wants a question that can
// be understood without the conversation: applications ask for one in order to look something
// up. They do so in the first sentence, which says what is given and what to make of it, or gives
// the model a name that says so. Other texts are about such questions, or want them answered.
func wantsStandaloneQuestion(text []byte) bool {
	if lower := foreignBeginning(text); foreignQuestions.in(lower) && !foreignOthers.in(lower) {
		return true
	}
	if !bytes.Contains(text, []byte("alone")) && !endsWith(sentence(text), []string{"ephraser", "ewriter"}) { // most texts
		return false
	}
	lower := loweredBeginning(text)
	order := sentence(lower)
	who, isYou := bytes.CutPrefix(order, []byte("you are a"))
	if isYou && endsWith(who, rephrasers) && !beforeOthers.in(who) && followUpWords.in(lower[len(order):]) {
		return true
	}
	if rest := lower[len(order):]; bytes.HasPrefix(order, []byte("you will be given ")) && len(rest) > 1 {
		order = lower[:len(order)+1+len(sentence(rest[1:]))] // what to make of it is said next
	}
	if !startsWith(order, standaloneOrders) || !conversationWords.in(order) {
		return false
	}
	for _, what := range standalone {
		if before, after, ok := bytes.Cut(order, []byte(what)); ok {
			return standaloneWords.in(before) && !askingWords.in(before) && !answeredWords.in(after)
		}
	}
	return false
}

var (
	standaloneOrders = []string{
		"given ", "you will be given ", "based on ", "your task is to ",
		"rewrite the ", "rephrase the ", "reformulate the ", "condense the ",
		"you rewrite the ",
	}
	// rephrasers are what a model is called that makes such questions, and followUpWords say
	// from what.
	rephrasers        = []string{" question rephraser", " query rephraser", " question rewriter", " query rewriter"}
	followUpWords     = signs{{"follow-up", "follow up", "followup"}, conversationWords[0]}
	standalone        = []string{"standalone question", "stand-alone question", "standalone query", "standalone search query"}
	conversationWords = signs{{"conversation", "chat history", "chat_history"}}
	// standaloneWords come before the question, and say how it is made and from what.
	standaloneWords = signs{
		{"rewrit", "rephras", "formulat", "convert", "condens", "combin", "generat", "creat", "synthes"},
		{"question", "query", "message", "follow", "input"},
	}
	askingWords   = signs{{" i ", " my ", " how ", "?", " answer the ", " code "}}
	answeredWords = signs{{"and answer", "then answer", "before answer", "and explain", " that i ", " for my "}}
)

// wantsNextQuestions reports whether a text, given as it opens and as it ends, wants the
// questions that the user may ask next. Applications show these below an answer. Their wish
// comes after the conversation that it is about, so that must be in the text as well. People
// ask for their own questions, or for those of any user.
func wantsNextQuestions(text, end []byte) bool {
	if !bytes.Contains(end, []byte(" ask")) { // most texts
		return false
	}
	ends := bytes.ToLower(jsonscan.AppendText(nil, end))
	return nextQuestionWords.in(ends) && talkWords.in(slices.Concat(ends, []byte("\n"), loweredBeginning(text)))
}

var (
	nextQuestionWords = signs{
		{"question"},
		{"predict", "suggest", "generat", "give me", "recommend", "propos"},
		{"that user ", "the user ", "that human ", "the human "},
		{"might ask", "may ask", "could ask", "would ask", "might want to ask", "is likely to ask"},
		{"next", "likely", "follow-up", "followup"},
	}
	talkWords = signs{{"conversation histor", "chat histor", "following conversation", "previous conversation", "conversation below", "\nhuman", "\nuser", "\nai: ", "\nassistant"}}
)
