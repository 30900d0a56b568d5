"""The load generator, whose users leave when they are ready and nobody lets them go on at once."""

from loadtests import generator

generator.PATIENCE = 0.1
generator.main()
