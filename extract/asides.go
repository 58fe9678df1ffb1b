package extract

import "bytes"

// Frameworks ask a model about a conversation, before and after each turn of it: whether
// what was said is allowed or right, who is to answer it, what to look up for it, what of it to
// remember, what may come next. Such prompts are worded in as many ways as there are
// applications. But they call the model something that does this, such as a classifier, or begin
// with an order about "the user message", as developers call it. wishes.go says more about rules
// of this kind.

// ordersAside reports whether a prompt, given as it opens, is an order for this and nothing
// else. As with soleWish, it must be called only if there is nothing but a first question,
// and no tools.
func ordersAside(text []byte) bool {
	text = pastHeadings(text)
	opens := text[:min(len(text), maxBeginning)]
	if !asideStems.begin(sentence(opens)) && !bytes.Contains(opens, []byte("task is")) && !bytes.Contains(opens, []byte("job is")) { // most texts
		return false
	}
	var buf [maxBeginning]byte
	lower := oneLine(beginningOf(text, buf[:0]))
	first := sentence(lower)
	return isAsker(first, lower) ||
		(startsWith(first, verdictStarts) && !bytes.Contains(first, []byte(" and ")) ||
			verdictWords.in(lower) ||
			turnWords.in(lower) ||
			queryWords.in(lower) && !queryOthers.in(lower) ||
			memoryWords.in(first)) && !asideOthers.in(lower) && !bytes.Contains(first, []byte(" how "))
}

// isAsker reports whether the first sentence of a prompt says to the model that it is one of
// the askers: "you are a query rewriter for our shop".
func isAsker(first, lower []byte) bool {
	i := bytes.Index(first, []byte("you are a"))
	return 0 <= i && i <= len("<role>") && askedWords.in(lower) && !askerOthers.in(lower) &&
		isCalled(first[i+len("you are a"):], askers, func(after []byte) bool { return len(after) == 0 || startsWith(after, askerEnds) })
}

// addressesModel reports whether words, given as they open, begin as orders in prompts do. What
// people write may begin so, too, so that alone says little.
func addressesModel(text []byte) bool { return startsWith(pastHeadings(text), promptStarts) }

// pastHeadings returns a prompt, given as it opens, without headings at its start, such as
// "# Task" and "---Role---".
func pastHeadings(text []byte) []byte {
	for len(text) > 0 && (text[0] == '#' || text[0] == '-') {
		_, rest := cutLine(text)
		if rest == nil {
			break
		}
		text = trimStart(rest)
	}
	return text
}

var promptStarts = []string{
	"You are ", "You will be given ", "Your task is ", "Your job is ", "Task: ", "[INST] Task: ", "Given a ", "Given the ", "Based on ",
	"Classify ", "Determine ", "Rewrite the ", "Extract ",
}

// asideStems: the first sentence of each order has a word that begins with one of these,
// unless it only leads up to "your task is to".
var asideStems = stemsOf(
	"classif", "guardrail", "filter", "rout", "rewrit", "rephras", "reformulat", "decompos", "versions", "multiple search ", "sub-quer", "step-back",
	"memor", "extract", "validator", "determin", "decide", "check", "evaluat", "judg", "assess", "detect", "grad",
	"policy expert", "given ", "receive ", "select the ", "intent ",
)

// askers are what a model is called that judges conversations or prepares answers.
var (
	askers = []string{
		"classifier", "classification", "guardrail", "content filter", "validator", "detector", "routing agent", " router",
		"rewriter", "query rewriting specialist", "grader", "evaluator", "extractor", "memory extraction", "memory synthesizer", "memory consolidation",
		"keyword extraction", "intent recognition", "intent detection", "intent analysis",
	}
	// askedWords are said about what an asker works on: a router may be for trucks.
	askedWords = signs{{"user input", "user request", "directs incoming request", "user prompt", "user say", "question", "quer", "message", "conversation", "json", "intent", "analyze", "content", "answer"}}
	askerEnds  = []string{
		".", ",", ":", " for ", " that ", " in ", " tasked ", " assessing ",
		" agent", " assistant", " system", " engine.", " engine,", " engine ", " component", " model",
	}
	// askerOthers are in the prompts of models that people ask about something else.
	askerOthers = signs{{"ql", " seo", " pastes", "users paste", "student", "you explain", "answer questions", " my ", " i "}}
)

var (
	// asideOthers are in prompts that also want an answer, or say what to do in which case.
	asideOthers = signs{{
		"ql ", "ql.", "and respond", "and answer", "and reply", "and explain", "and correct", "and tell", "and write", "then ", "before answer",
		"help the user", "help users", "helps ", "you help", "first ", "each answer", "each message", "every ", "always ", "whenever ",
		". if ", ", if ", "if you ", "refuse", "polite", " i ", " my ", " me ", " your answer",
		". ask ", ". greet ", ". help ", ". offer ", ". tell ", "grammar", "python", "javascript", "regex", " csv",
	}}

	// verdictStarts: "Check if the user is asking you to do their homework."
	verdictStarts = []string{"check if the user", "determine if the user"}
	// verdictWords: "determine whether a user prompt is in violation of the policies",
	// "assessing relevance of a retrieved document to a user question". The last of them tell
	// that what it is about is given, or in which form to answer.
	verdictWords = signs{
		{"classif", "determine ", "decide ", "check if", "check whether", "assess", "evaluat", "judg", "grad", "detect"},
		{
			"user message", "user input", "user prompt", "user quer", "user question", "user request", "user's", "user is asking", "'user' messages", "query ", "intent",
			"bot message", "'s response", "assistant response", "ai response", "llm ", "an answer", "the answer", "the ai ", "a response", "conversation",
		},
		{
			"only return", "return only", "output only", "only output", "respond only", "reply only", "with only", "binary", "yes or no", "'yes'", "true or false", "one word", "json",
			"into one of", "following intents", "following categories", "unsafe", "polic", "jailbreak", "injection", "harmful", "malicious", "violat", "-topic", "retriev",
			"is to classify ", "is to determine if ", "is to determine whether ", "is to decide ", "is to check ", "is to evaluate ", "is to detect ",
			"you are evaluating ", "you will be given", "you will receive", "you are given", "given a question", "criteri", "rubric",
		},
	}

	// turnWords: "select the next speaker from the participants".
	turnWords = signs{
		{"next speaker", "next turn", "next role", "speak next", "act next"},
		{"participant", "agents", "roles", "workers"},
		{"return only", "only return", "only the name", "select one of"},
	}

	// queryWords: "rewrite the user query so that it is optimized for retrieval", "generate
	// three different versions of the given question". queryOthers are in prompts for an
	// answer from what was found.
	queryWords = signs{
		{"rewrit", "rephras", "reformulat", "decompos", "different versions", "multiple search quer", "sub-quer", "step-back"},
		{"quer", "question"},
		{"retriev", "vector database", "search quer", "web search", "original query"},
	}
	queryOthers = signs{{" answer the", " answers", "an answer", "to answer"}}

	// memoryWords: "extract facts about the user from the conversation that are worth
	// remembering".
	memoryWords = signs{
		{"extract", "update", "memory system"},
		{"memor", "facts about the user"},
		{"conversation", "chat history", "extraction", "to be stored"},
	}
)
