"""What the demonstration lessons teach: small functions on whole numbers, written once and rendered in each language.

A topic's body is a tiny language: assignments, ``while``, ``if`` and ``return``, nested by four blanks, with a
comment after each. In comments ``{who}`` and ``{things}`` are filled in by the lesson, other braces by what a variable
is called there. ``//`` divides whole numbers.
"""

import dataclasses
import textwrap


@dataclasses.dataclass(frozen=True, kw_only=True)
class Topic:
    """One thing to teach."""

    name: str
    title: str
    parameters: tuple[str, ...]
    idea: str
    body: str
    examples: tuple[tuple[tuple[int, ...], int], ...]
    """Arguments and what the function returns for them."""

    @property
    def lines(self) -> list[tuple[int, str, str]]:
        """Return (depth, statement, comment) of each line."""
        found = []
        for line in textwrap.dedent(self.body).strip().splitlines():
            code, _, comment = line.partition("#")
            found.append(((len(code) - len(code.lstrip())) // 4, code.strip(), comment.strip()))
        return found


TOPICS = (
    Topic(
        name="greatest_common_divisor", title="the greatest common divisor", parameters=("first", "second"),
        idea="Two lengths of {things} are to be cut into equal pieces with nothing left over. The longest piece that "
        "fits both is their greatest common divisor, and Euclid found it by dividing again and again.",
        body="""
        larger = first  # {who} copies the first number, since {larger} will change as the division goes on
        smaller = second  # and the second number becomes the one to divide by
        while smaller != 0:  # as long as something is left, another round of division is needed
            rest = larger % smaller  # {rest} is what remains when {larger} {things} are dealt out by {smaller}
            larger = smaller  # the divisor of this round is the number to divide in the next round
            smaller = rest  # and the remainder becomes the next divisor, which is always smaller
        return larger  # nothing is left over, so {larger} divides both numbers
        """,
        examples=(((12, 18), 6), ((35, 64), 1), ((100, 75), 25)),
    ),
    Topic(
        name="factorial", title="factorials", parameters=("count",),
        idea="In how many orders can {who} put {things} on a shelf? For the first place there are as many choices as "
        "{things}, for the second one fewer, and so on; the product of these choices is the factorial.",
        body="""
        product = 1  # an empty shelf can be arranged in exactly one way, so the product starts at one
        factor = 2  # multiplying by one changes nothing, so {who} may begin with two
        while factor <= count:  # each number up to {count} has its turn as a factor
            product = product * factor  # {product} now counts the orders of {factor} {things}
            factor = factor + 1  # go on to the next factor
        return product  # all factors are in the product
        """,
        examples=(((4,), 24), ((1,), 1), ((7,), 5040)),
    ),
    Topic(
        name="fibonacci", title="the Fibonacci numbers", parameters=("months",),
        idea="{who} counts {things} in a garden where each new number is the sum of the two before it. This sequence "
        "grows quickly, and two memories are enough to follow it for ever.",
        body="""
        previous = 0  # before the first month there are no {things} at all
        current = 1  # and in the first month there is one
        month = 1  # {month} says how far the counting has come
        while month < months:  # the loop makes one step for every month that is still missing
            following = previous + current  # the rule of the sequence: add the last two numbers
            previous = current  # what was current is the past now
            current = following  # and the sum is the present
            month = month + 1  # one month later
        return current  # {current} belongs to the month that {who} asked for
        """,
        examples=(((1,), 1), ((7,), 13), ((12,), 144)),
    ),
    Topic(
        name="digit_sum", title="the sum of the digits", parameters=("number",),
        idea="The label on a box of {things} has a long number, and a clerk adds its digits to check it. The last "
        "digit of a number is its remainder by ten, and dividing by ten takes that digit away.",
        body="""
        rest = number  # {rest} is the part of the number whose digits have not been added yet
        total = 0  # {who} has added nothing so far
        while rest > 0:  # as long as there are digits left
            digit = rest % 10  # the remainder by ten is the last digit
            total = total + digit  # put it into the sum
            rest = rest // 10  # and cut it off by dividing without a remainder
        return total  # every digit has been added once
        """,
        examples=(((1234,), 10), ((9,), 9), ((50607,), 18)),
    ),
    Topic(
        name="power", title="raising to a power by squaring", parameters=("base", "exponent"),
        idea="To multiply a number with itself a thousand times, {who} need not do a thousand multiplications. "
        "Squaring doubles the exponent, so ten squarings come as far as a thousand steps with {things}.",
        body="""
        result = 1  # any number to the power of zero is one
        square = base  # {square} runs through base, base squared, base to the fourth and so on
        left = exponent  # {left} is the exponent that is still to be dealt with
        while left > 0:  # each round halves it, so there are few rounds
            if left % 2 == 1:  # an odd exponent has one factor that cannot be paired
                result = result * square  # that factor goes into the result now
            square = square * square  # square once more for the next binary digit
            left = left // 2  # and drop the digit that is done
        return result  # all binary digits of the exponent have been used
        """,
        examples=(((2, 10), 1024), ((3, 4), 81), ((7, 0), 1)),
    ),
    Topic(
        name="is_prime", title="testing for prime numbers", parameters=("number",),
        idea="A number of {things} is prime when they cannot be laid out in a full rectangle with more than one row. "
        "Only rows up to the square root need trying, because a larger divisor has a smaller partner.",
        body="""
        if number < 2:  # zero and one are not prime by definition
            return 0  # zero stands for no
        row = 2  # {who} begins with two rows
        while row * row <= number:  # beyond the square root nothing new can be found
            if number % row == 0:  # the {things} fill {row} rows exactly
                return 0  # so the number is a product, and the search ends early
            row = row + 1  # try one more row
        return 1  # no rectangle fits: one stands for yes
        """,
        examples=(((2,), 1), ((91,), 0), ((97,), 1)),
    ),
    Topic(
        name="collatz_steps", title="the Collatz sequence", parameters=("start",),
        idea="Halve an even number, and treble an odd one and add one. {who} has tried this with counts of {things} "
        "for a whole winter and always came down to one, though nobody has proved why.",
        body="""
        value = start  # the sequence begins with the number that was given
        steps = 0  # and no step has been made
        while value != 1:  # the game ends at one
            parity = value % 2  # {parity} is zero for an even number and one for an odd one
            if parity == 0:  # an even number of {things} can be halved
                value = value // 2  # so half of them are put away
            if parity == 1:  # an odd number cannot
                value = value * 3 + 1  # it grows, but the result is even and is halved in the next round
            steps = steps + 1  # {who} makes a mark on the tally
        return steps  # as many steps as there are marks
        """,
        examples=(((1,), 0), ((2,), 1), ((6,), 8)),
    ),
    Topic(
        name="triangular_number", title="triangular numbers", parameters=("rows",),
        idea="{things} stacked in rows of one, two, three and so on form a triangle. The number in the whole stack is "
        "a triangular number, and adding row after row is the plainest way to find it.",
        body="""
        total = 0  # the stack is empty
        row = 1  # the row at the top has a single one of the {things}
        while row <= rows:  # go down row by row until the last
            total = total + row  # row number {row} holds just as many
            row = row + 1  # the row below is longer by one
        return total  # {total} is what {who} has stacked
        """,
        examples=(((1,), 1), ((4,), 10), ((100,), 5050)),
    ),
    Topic(
        name="reverse_digits", title="turning a number around", parameters=("number",),
        idea="Read from right to left, 123 becomes 321. {who} takes the digits off one end of the ticket and puts them "
        "on the other, as if moving {things} from one pile to another.",
        body="""
        rest = number  # the first pile: digits that are still to be moved
        turned = 0  # the second pile starts empty
        while rest > 0:  # move one digit at a time
            digit = rest % 10  # take the last digit from the first pile
            turned = turned * 10 + digit  # shift the second pile to the left and set the digit behind it
            rest = rest // 10  # the first pile is shorter now
        return turned  # all digits lie in the second pile in the other order
        """,
        examples=(((123,), 321), ((7,), 7), ((9040,), 409)),
    ),
    Topic(
        name="integer_square_root", title="square roots of whole numbers", parameters=("area",),
        idea="{who} has {things} to tile a square floor and asks how long its side can be. Halving the range in which "
        "the answer must lie finds it in few steps; the method is called bisection.",
        body="""
        low = 0  # a square with this side certainly fits
        high = area + 1  # and a square with this side certainly does not
        while high - low > 1:  # the answer lies between them until they are neighbours
            middle = (low + high) // 2  # look at the side half way between
            if middle * middle <= area:  # enough {things} for this square
                low = middle  # so the answer is {middle} or more
            if middle * middle > area:  # too large a square
                high = middle  # so the answer is less than {middle}
        return low  # {low} fits, and one more would not
        """,
        examples=(((16,), 4), ((17,), 4), ((99,), 9)),
    ),
    Topic(
        name="count_divisors", title="counting divisors", parameters=("number",),
        idea="How many ways are there to share {things} evenly among friends? {who} tries every number of friends, "
        "and each one that leaves nothing over is a divisor.",
        body="""
        found = 0  # no divisor has been found yet
        friends = 1  # the smallest party is one friend alone
        while friends <= number:  # more friends than {things} cannot share evenly
            if number % friends == 0:  # nothing is left over
                found = found + 1  # so this way of sharing counts
            friends = friends + 1  # invite one more
        return found  # {found} ways in all
        """,
        examples=(((1,), 1), ((12,), 6), ((13,), 2)),
    ),
    Topic(
        name="least_common_multiple", title="the least common multiple", parameters=("first", "second"),
        idea="One lamp above the {things} blinks every few seconds, another at a different pace. {who} wants to know "
        "when they next blink together: at the least common multiple of the two times.",
        body="""
        moment = first  # the first lamp blinks at this moment
        while moment % second != 0:  # the second lamp stays dark as long as there is a remainder
            moment = moment + first  # wait for the next blink of the first lamp
        return moment  # both lamps blink: {moment} is a multiple of both
        """,
        examples=(((4, 6), 12), ((5, 7), 35), ((8, 2), 8)),
    ),
    Topic(
        name="count_bits", title="binary digits that are one", parameters=("number",),
        idea="A row of {things}, each up or down, can hold a number in binary. {who} counts those that are up by "
        "looking at the last one, again and again, while the row is shifted past.",
        body="""
        rest = number  # the row as it is at first
        ones = 0  # none has been seen that is up
        while rest > 0:  # when the row is all zero the count is complete
            ones = ones + rest % 2  # the last binary digit is the remainder by two
            rest = rest // 2  # shift the row by one place
        return ones  # {ones} of the {things} are up
        """,
        examples=(((5,), 2), ((255,), 8), ((64,), 1)),
    ),
    Topic(
        name="perfect_number", title="perfect numbers", parameters=("number",),
        idea="The ancient Greeks called a number perfect when its proper divisors add up to it. {who} sorts {things} "
        "into equal heaps and adds the sizes of the heaps that come out even.",
        body="""
        total = 0  # the sum of proper divisors starts at nothing
        heap = 1  # heaps of one are always possible
        while heap < number:  # the number itself is no proper divisor
            if number % heap == 0:  # heaps of this size use up all {things}
                total = total + heap  # so the size belongs to the sum
            heap = heap + 1  # try heaps that are larger by one
        if total == number:  # the sum hits the number exactly
            return 1  # it is perfect
        return 0  # it is not
        """,
        examples=(((6,), 1), ((28,), 1), ((12,), 0)),
    ),
    Topic(
        name="binomial", title="choosing without order", parameters=("total", "chosen"),
        idea="{who} picks some of the {things} for a journey, and the order of picking does not matter. The number of "
        "possible choices is a binomial coefficient, which can be built up factor by factor.",
        body="""
        ways = 1  # there is one way to pick nothing
        taken = 0  # nothing has been picked
        while taken < chosen:  # each round picks one more of the {things}
            ways = ways * (total - taken)  # so many are left to pick from
            taken = taken + 1  # now one more is in the bag
            ways = ways // taken  # picks in another order are the same choice, so divide by the number picked
        return ways  # {ways} different bags can be packed
        """,
        examples=(((5, 2), 10), ((6, 3), 20), ((9, 0), 1)),
    ),
    Topic(
        name="leap_year", title="leap years", parameters=("year",),
        idea="The year is a little shorter than 365 days and a quarter. The calendar that {who} hangs above the "
        "{things} therefore has an extra day every fourth year, with two exceptions to the rule.",
        body="""
        if year % 400 == 0:  # every four hundredth year is a leap year after all
            return 1  # this exception is the strongest, so it comes first
        if year % 100 == 0:  # other full centuries are not
            return 0  # they lose their extra day
        if year % 4 == 0:  # the plain rule: every fourth year
            return 1  # has a twenty-ninth of February
        return 0  # and all other years are ordinary
        """,
        examples=(((2024,), 1), ((1900,), 0), ((2000,), 1)),
    ),
    Topic(
        name="sum_of_squares", title="adding squares", parameters=("count",),
        idea="A pyramid with a square base has one of the {things} at its tip, four below it, then nine. To learn how "
        "many are needed in all, {who} adds the squares layer by layer.",
        body="""
        needed = 0  # nothing has been built
        side = 1  # the tip has a side of one
        while side <= count:  # one round for each layer
            layer = side * side  # a square layer with this side
            needed = needed + layer  # add its {things} to the bill
            side = side + 1  # the layer below is wider by one
        return needed  # {needed} in the whole pyramid
        """,
        examples=(((1,), 1), ((3,), 14), ((10,), 385)),
    ),
    Topic(
        name="digital_root", title="the digital root", parameters=("number",),
        idea="Add the digits of a number, add the digits of the sum, and go on until one digit is left. Bookkeepers "
        "such as {who} used this digital root to check long columns of {things}.",
        body="""
        value = number  # start with the number as it stands
        while value > 9:  # more than one digit is left
            total = 0  # a fresh sum for this round
            while value > 0:  # take the digits one by one
                total = total + value % 10  # the last digit joins the sum
                value = value // 10  # and leaves the number
            value = total  # the sum takes the place of the number
        return value  # a single digit remains
        """,
        examples=(((38,), 2), ((9,), 9), ((987,), 6)),
    ),
    Topic(
        name="coins_needed", title="paying with the fewest coins", parameters=("price",),
        idea="With coins of ten, five and one, {who} pays for {things} by always taking the largest coin that fits. "
        "Such a rule is called greedy, and for these coins it gives the fewest.",
        body="""
        tens = price // 10  # as many tens as go into the price
        rest = price % 10  # what the tens leave unpaid
        fives = rest // 5  # at most one five goes into that
        ones = rest % 5  # and the remainder is paid in ones
        coins = tens + fives + ones  # lay all the coins on the table
        return coins  # {coins} coins pay for the {things}
        """,
        examples=(((28,), 6), ((5,), 1), ((99,), 14)),
    ),
    Topic(
        name="doubling_time", title="how long doubling takes", parameters=("start", "goal"),
        idea="Every night the {things} in the pond double. {who} asks after how many nights there are enough, and the "
        "answer is surprisingly small, because doubling is exponential growth.",
        body="""
        amount = start  # the {things} on the first evening
        nights = 0  # no night has passed
        while amount < goal:  # not enough yet
            amount = amount * 2  # overnight the number doubles
            nights = nights + 1  # and another night is over
        return nights  # {who} had to wait {nights} nights
        """,
        examples=(((1, 1000), 10), ((5, 5), 0), ((3, 50), 5)),
    ),
)  # fmt: skip

PEOPLE = (
    "Amina", "Bela", "Chiara", "Dmitri", "Esi", "Farid", "Greta", "Hiro", "Ines", "Jakob", "Kofi", "Lena", "Mateo",
    "Nadia", "Oskar", "Priya", "Quentin", "Rosa", "Samir", "Tove", "Umar", "Vera", "Wanda", "Xenia", "Yusuf", "Zora",
)  # fmt: skip
THINGS = (
    "apples", "bricks", "candles", "dominoes", "eggs", "feathers", "grapes", "herrings", "inkpots", "jars", "kites",
    "lanterns", "marbles", "needles", "oranges", "pebbles", "quilts", "ribbons", "seashells", "tiles", "umbrellas",
    "violins", "walnuts", "yarns", "buttons", "stamps", "tulips", "spoons", "planks", "pearls",
)  # fmt: skip
