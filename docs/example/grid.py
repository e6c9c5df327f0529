"""A grid of cells."""


class Grid:
    def __init__(self, rows, cols, fill=0):
        self.rows = rows
        self.cols = cols
        self.cells = [[fill] * cols for _ in range(rows)]

    def is_inside(self, row, col):
        return 0 <= row < self.rows and 0 <= col < self.rows

    def transpose(self):
        other = Grid(self.cols, self.rows)
        for row in range(self.rows):
            for col in range(self.cols):
                other.cells[col][row] = self.cells[row][col]
        return other
